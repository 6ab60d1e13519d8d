"""The thread that keeps the account: it starts, drains, survives, and knows how much waits."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from django.db import OperationalError, connections

from tests.harness import wait_until
from tests.usage.journals import Writer, admitted, ended
from usage import applying
from usage.depth import Depth
from usage.keeper import Keeper
from usage.models import UsageRecord

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def keeper(writer: Writer) -> Iterator[Keeper]:
    made = Keeper(writer.folder, max_bytes=2000)
    yield made
    made.stop()
    connections.close_all()


def stored(count: int) -> None:
    wait_until(lambda: records() == count, 10, lambda: str(records()))


def records() -> int | None:
    """Counts the records; None while the keeper's thread writes, since tests share one database in memory."""
    try:
        return UsageRecord.objects.count()
    except OperationalError:
        return None


def test_calls_come_into_the_database_by_themselves(writer: Writer, keeper: Keeper) -> None:
    writer.write(ended("a" * 24))
    keeper.start(writer.name)
    stored(1)
    writer.write(ended("b" * 24))
    stored(2)


def test_stopping_drains_a_closed_journal_and_leaves_nothing(writer: Writer, keeper: Keeper) -> None:
    keeper.start(writer.name)
    writer.write(admitted(), ended())
    writer.die()
    keeper.stop()
    assert UsageRecord.objects.count() == 1
    assert writer.files() == []
    assert keeper.depth == Depth(0, 0)


def test_catching_up_takes_what_the_dead_left(writer: Writer, keeper: Keeper) -> None:
    writer.write(admitted())
    writer.die()
    keeper.catch_up()
    assert UsageRecord.objects.get().ended == "lost"


def test_while_the_database_is_away_the_journal_waits_and_is_measured(
    writer: Writer, keeper: Keeper, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: object) -> None:
        raise OperationalError

    with monkeypatch.context() as patch:
        patch.setattr(applying, "store", refuse)
        keeper.start(writer.name)
        writer.write(ended("a" * 24))
        wait_until(lambda: keeper.depth.lines == 1, 10)
        assert keeper.depth.bytes == writer.segment.stat().st_size
        assert not keeper.full
        for number in range(5):
            writer.write(ended(f"{number:024x}"))
        wait_until(lambda: keeper.full, 10)
        assert keeper.depth == Depth(writer.segment.stat().st_size, 6)
    stored(6)
    wait_until(lambda: len(caplog.records) >= 4, 10)
    assert keeper.depth == Depth(0, 0)
    assert not keeper.full
    keeper.stop()
    wanted = (
        "OperationalError",
        "has reached JOURNAL_MAX_BYTES",
        "into the database again",
        "below JOURNAL_MAX_BYTES again",
    )
    for record, words in zip(caplog.records, wanted, strict=True):
        assert words in record.message


def test_of_a_living_sibling_only_what_is_not_applied_counts(
    writer: Writer, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    sibling = Writer(writer.folder, "f" * 16)
    its_keeper = Keeper(writer.folder, max_bytes=2000)
    try:
        sibling.write(*(ended(f"{number:024x}") for number in range(10)))
        keeper.catch_up()
        assert keeper.depth == Depth(sibling.segment.stat().st_size, 10)
        assert keeper.full
        its_keeper.start(sibling.name)
        stored(10)
        keeper.catch_up()
        assert keeper.depth == Depth(0, 0)
        # While the database is away, what the sibling appends waits, and nothing else.
        before = sibling.segment.stat().st_size
        its_keeper.stop()
        sibling.write(ended("a" * 24))
        monkeypatch.setattr(applying, "store", lambda _: None)
        monkeypatch.setattr("usage.replay.offsets_of", lambda _: 1 / 0)
        keeper._attempt()
        assert keeper.depth == Depth(sibling.segment.stat().st_size - before, 1)
    finally:
        sibling.die()
        its_keeper.stop()


def test_a_living_writers_lock_tells_that_it_lives(writer: Writer, keeper: Keeper) -> None:
    lock = writer.folder / f"{writer.name}.lock"
    os.utime(lock, (1.0, 1.0))
    keeper.start(writer.name)
    for _ in range(2):
        wait_until(lambda: time.time() - lock.stat().st_mtime < 60, 10)
        os.utime(lock, (1.0, 1.0))
