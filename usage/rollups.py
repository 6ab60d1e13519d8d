"""The roll-ups' arithmetic: what a call adds to the sums of its hour, its day and its month (UTC).

All sums are integers, so that it makes no difference in which portions calls are added.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple

from usage.lines import Record

# The upper bounds of the latencies' buckets in seconds; one more bucket holds what is slower.
FIRST_BYTE_BOUNDS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
TOTAL_BOUNDS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
FIRST_BYTE_BUCKETS = tuple(f"first_byte_{number}" for number in range(len(FIRST_BYTE_BOUNDS) + 1))
TOTAL_BUCKETS = tuple(f"total_{number}" for number in range(len(TOTAL_BOUNDS) + 1))
# Ways for a call to end other than well; `done` and `length` need no column.
ENDS = ("refused", "failed", "left", "cut", "lost")
SUMS = (
    "requests",
    *ENDS,
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "estimated_tokens",
    "gpu_nanoseconds",
    "first_byte_microseconds",
    "total_microseconds",
    *FIRST_BYTE_BUCKETS,
    *TOTAL_BUCKETS,
)
PLACES = {name: place for place, name in enumerate(SUMS)}
(
    REQUESTS,
    PROMPT,
    COMPLETION,
    CACHED,
    ESTIMATED,
    GPU,
    FIRST_BYTE_TIME,
    TOTAL_TIME,
    FIRST_BYTE_BUCKET,
    FIRST_TOTAL_BUCKET,
) = (
    PLACES[name]
    for name in (
        "requests",
        "prompt_tokens",
        "completion_tokens",
        "cached_tokens",
        "estimated_tokens",
        "gpu_nanoseconds",
        "first_byte_microseconds",
        "total_microseconds",
        "first_byte_0",
        "total_0",
    )
)
MICRO = 1_000_000
HOUR = 3600
EVERYONE = ""  # no key has this id


class Slot(NamedTuple):
    """What is summed together; `start` is a moment for an hour, a date for a day and a month, `owner` 0 for nobody."""

    start: date
    key: str
    owner: int
    team: str
    model: str
    route: str


class RollUps(NamedTuple):
    """Sums (in the order of SUMS) by slot."""

    hours: Mapping[Slot, Sequence[int]]
    days: Mapping[Slot, Sequence[int]]
    months: Mapping[Slot, Sequence[int]]


def roll_up(records: Iterable[Record]) -> RollUps:
    """Sums records up, each once under its key and once under everyone."""
    # A record is added once, to its hour; what else there is to sum is made of hours, which are few.
    hours: dict[tuple[int, str, int | None, str, str, str], list[int]] = {}
    for record in records:
        place = (int(record.at) // HOUR, record.key, record.owner, record.team, record.model, record.route)
        sums = hours.get(place)
        if sums is None:
            sums = hours[place] = [0] * len(SUMS)
        count(record, sums)
    periods: list[defaultdict[Slot, list[int]]] = [defaultdict(lambda: [0] * len(SUMS)) for _ in range(3)]
    for (hour, key, owner, team, model, route), sums in hours.items():
        for period, start in zip(periods, starts(hour * HOUR), strict=True):
            add(period[Slot(start, key, owner or 0, team, model, route)], sums)
            add(period[Slot(start, EVERYONE, 0, "", model, route)], sums)
    return RollUps(*periods)


def starts(at: float) -> tuple[datetime, date, date]:
    """Returns the beginning of a moment's hour, its day, and the first day of its month."""
    hour = datetime.fromtimestamp(int(at) // HOUR * HOUR, UTC)
    day = hour.date()
    return hour, day, day.replace(day=1)


def count(record: Record, sums: list[int]) -> None:
    """Adds one call to some sums."""
    sums[REQUESTS] += 1
    if record.ended in ENDS:
        sums[PLACES[record.ended]] += 1
    sums[PROMPT] += record.prompt_tokens
    sums[COMPLETION] += record.completion_tokens
    if record.cached_tokens:
        # Whatever a line says, what came from the cache is a part of the prompt.
        sums[CACHED] += min(record.cached_tokens, record.prompt_tokens)
    if record.estimated:
        sums[ESTIMATED] += record.prompt_tokens + record.completion_tokens
    sums[GPU] += record.gpu_nanoseconds
    sums[TOTAL_TIME] += round(record.total * MICRO)
    sums[FIRST_TOTAL_BUCKET + bisect_left(TOTAL_BOUNDS, record.total)] += 1
    if record.first_byte is not None:
        sums[FIRST_BYTE_TIME] += round(record.first_byte * MICRO)
        sums[FIRST_BYTE_BUCKET + bisect_left(FIRST_BYTE_BOUNDS, record.first_byte)] += 1


def add(into: list[int], added: Sequence[int]) -> None:
    """Adds sums to sums."""
    for place, amount in enumerate(added):
        into[place] += amount


def quantile(share: float, buckets: Sequence[int], bounds: Sequence[float]) -> float | None:
    """Returns the seconds within which this share of calls was, as near as the buckets tell; None without calls.

    What is slower than the last bound counts as that bound: the answer is then a lower limit.
    """
    wanted = share * sum(buckets)
    if not wanted:
        return None
    passed = 0
    for place, count in enumerate(buckets[:-1]):
        if passed + count >= wanted:
            low = bounds[place - 1] if place else 0.0
            return low + (bounds[place] - low) * (wanted - passed) / count
        passed += count
    return bounds[-1]
