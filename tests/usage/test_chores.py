"""What the server sees to now and then: bit by bit, whatever fails, and beside each other."""

from __future__ import annotations

import threading

import pytest

from tests.harness import wait_until
from usage import chores
from usage.chores import Chore, Chores

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_chore_is_done_bit_by_bit_and_then_rests() -> None:
    left = [3]

    def step() -> bool:
        left[0] -= 1
        return left[0] > 0

    found = Chores([Chore("counting", 3600, step)])
    found.start()
    wait_until(lambda: left[0] == 0, 10)
    found.stop()
    assert left[0] == 0


def test_one_that_hangs_holds_up_no_other_and_no_stop() -> None:
    hangs, done, free = threading.Event(), threading.Event(), threading.Event()

    def hang() -> bool:
        hangs.set()
        free.wait(30)
        return False

    def do() -> bool:
        done.set()
        return False

    found = Chores([Chore("hanging", 3600, hang), Chore("doing", 3600, do)])
    found.start()
    assert hangs.wait(10)
    assert done.wait(10)
    found.stop()
    free.set()


def test_what_fails_is_said_once_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(chores, "RETRY_SECONDS", 0.01)
    tries = [0]

    def step() -> bool:
        tries[0] += 1
        if tries[0] < 5:
            raise OSError("a secret")
        return False

    found = Chores([Chore("trying", 3600, step)])
    found.start()
    wait_until(lambda: tries[0] == 5, 10)
    found.stop()
    assert [record.message for record in caplog.records] == ["trying failed (OSError): it is tried again."]
