"""Which trials count: a rival may fail now and then, our own servers never."""

from __future__ import annotations

from typing import cast

import pytest

from benchmarks.cases import OPENAI, Case, whole
from benchmarks.child import TrialFailed
from benchmarks.rows import STUB, Row
from benchmarks.servers import Bare
from benchmarks.traffic import Traffic
from benchmarks.trial import Loader

CASE = Case("one", whole(OPENAI), 1)


class Flaky:
    """A loader whose trials with these numbers fail."""

    def __init__(self, failing: set[int]) -> None:
        self.failing = failing
        self.taken = 0

    def run(self, *_trial: object) -> str:
        self.taken += 1
        if self.taken in self.failing:
            raise TrialFailed(f"no answer, {self.taken}")
        return "a trial"


def measured(name: str, failing: set[int]) -> tuple[Row, Traffic]:
    """Takes two pairs."""
    server = Bare("http://127.0.0.1:9", 0)
    server.name = name
    traffic, row, loader = Traffic([CASE], 2, 0.1), Row(CASE, name), cast("Loader", Flaky(failing))
    for _pair in range(2):
        traffic.attempt(row, server, loader)
    traffic.say_failure(row)
    return row, traffic


@pytest.mark.parametrize(
    ("failing", "pairs", "said"),
    [
        (set(), 2, []),
        ({1}, 2, ["a rival failed once in “one”, first so: no answer, 1"]),
        ({1, 2, 4}, 2, ["a rival failed 3 times in “one”, first so: no answer, 1"]),
        ({1, 2, 3}, 0, ["a rival failed 3 times in “one” and was given up, first so: no answer, 1"]),
        ({2, 3, 4}, 1, ["a rival failed 3 times in “one” and was given up, first so: no answer, 2"]),
    ],
)
def test_a_rival_that_fails_now_and_then_is_measured_and_its_failures_are_told(
    failing: set[int], pairs: int, said: list[str]
) -> None:
    row, traffic = measured("a rival", failing)
    assert len(row.pairs) == pairs
    assert traffic.notes == said


def test_one_of_ours_may_not_fail() -> None:
    with pytest.raises(TrialFailed):
        measured(STUB, {1})
