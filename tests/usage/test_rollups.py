"""The roll-ups' arithmetic: the same sums in whatever portions calls come."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.usage.journals import NOON, ended
from usage.lines import Record, read
from usage.rollups import EVERYONE, FIRST_BYTE_BOUNDS, PLACES, SUMS, Slot, quantile, roll_up

DAY = 86_400


def record(**said: object) -> Record:
    found = read(orjson.dumps(ended(**said)))
    assert isinstance(found, Record)
    return found


records = st.builds(
    record,
    at=st.floats(NOON - 3 * DAY, NOON + 30 * DAY),
    key=st.sampled_from(["one", "two"]),
    owner=st.sampled_from([None, 1]),
    team=st.sampled_from(["", "lab"]),
    model=st.sampled_from(["mistral", "llama3"]),
    ended=st.sampled_from(["done", "length", "refused", "failed", "left", "cut", "lost"]),
    prompt_tokens=st.integers(0, 10**6),
    completion_tokens=st.integers(0, 10**6),
    estimated=st.booleans(),
    eval_duration=st.none() | st.integers(0, 10**12),
    first_byte=st.none() | st.floats(0, 1000),
    total=st.floats(0, 1000),
)


def counted(found: object) -> list[Counter[tuple[Slot, str]]]:
    return [
        Counter(
            {(slot, name): amount for slot, sums in period.items() for name, amount in zip(SUMS, sums, strict=True)}
        )
        for period in found  # type: ignore[attr-defined] # the three of RollUps
    ]


@given(st.lists(records, max_size=20), st.lists(st.integers(0, 20), max_size=5))
def test_any_split_into_batches_gives_the_same_sums(calls: list[Record], cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(calls)]
    parts = [counted(roll_up(calls[low:high])) for low, high in pairwise(places)]
    for number, whole in enumerate(counted(roll_up(calls))):
        summed: Counter[tuple[Slot, str]] = Counter()
        for part in parts:
            summed.update(part[number])
        assert summed == whole


def test_cached_tokens_and_gpu_time_are_no_more_than_a_call_can_have_had() -> None:
    nonsense = {"load_duration": 2**53, "prompt_eval_duration": 2**53, "eval_duration": 2**53}
    calls = [record(cached_tokens=None), record(cached_tokens=4), record(cached_tokens=99, total=3.0, **nonsense)]
    (sums,) = (sums for slot, sums in roll_up(calls).days.items() if slot.key == EVERYONE)
    assert sums[PLACES["cached_tokens"]] == 0 + 4 + 10
    assert sums[PLACES["gpu_nanoseconds"]] == 600 + 600 + 4 * 10**9


@given(st.lists(records, max_size=20))
def test_every_call_is_in_its_keys_sums_and_in_everyones(calls: list[Record]) -> None:
    for period in roll_up(calls):
        for name, wanted in (
            ("requests", len(calls)),
            ("prompt_tokens", sum(call.prompt_tokens for call in calls)),
            ("lost", sum(call.ended == "lost" for call in calls)),
            ("gpu_nanoseconds", sum(call.gpu_nanoseconds for call in calls)),
        ):
            place = PLACES[name]
            assert sum(sums[place] for slot, sums in period.items() if slot.key == EVERYONE) == wanted
            assert sum(sums[place] for slot, sums in period.items() if slot.key != EVERYONE) == wanted


def test_periods_begin_in_utc() -> None:
    found = roll_up([record(at=datetime(2024, 2, 29, 23, 59, 59, 999_999, UTC).timestamp())])
    assert {slot.start for slot in found.hours} == {datetime(2024, 2, 29, 23, tzinfo=UTC)}
    assert {slot.start for slot in found.days} == {date(2024, 2, 29)}
    assert {slot.start for slot in found.months} == {date(2024, 2, 1)}


def test_each_latency_falls_into_the_first_bucket_that_holds_it() -> None:
    for seconds, bucket in ((0.0, 0), (0.1, 0), (0.11, 1), (30.0, 5), (30.1, 6), (9999.0, 6)):
        sums = next(iter(roll_up([record(first_byte=seconds)]).hours.values()))
        assert [sums[PLACES[f"first_byte_{number}"]] for number in range(7)].index(1) == bucket


@pytest.mark.parametrize(
    ("share", "buckets", "seconds"),
    [
        (0.5, [0, 0, 0, 0, 0, 0, 0], None),
        (0.5, [10, 0, 0, 0, 0, 0, 0], 0.05),
        (0.5, [5, 5, 0, 0, 0, 0, 0], 0.1),
        (0.95, [0, 0, 100, 0, 0, 0, 0], 0.965),
        (0.95, [0, 0, 0, 0, 0, 0, 3], 30.0),
    ],
)
def test_a_quantile_is_as_near_as_the_buckets_tell(share: float, buckets: list[int], seconds: float | None) -> None:
    assert quantile(share, buckets, FIRST_BYTE_BOUNDS) == (None if seconds is None else pytest.approx(seconds))
