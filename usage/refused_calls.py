"""Calls that failed before they were admitted: all are counted, and some of them are kept as records.

They leave no line in the journal, so that a flood of them costs a few additions in memory.  A thread of its own brings
them into the database (usage/refused_store.py); what it did not come to store is lost with the process.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from time import monotonic
from typing import Any, NamedTuple

from usage.lines import Record, record

# Of each key and error so many calls are kept at once, then one in so many seconds; of all together likewise.
KEPT_AT_ONCE, SECONDS_EACH = 60, 10.0
KEPT_OF_ALL, SECONDS_OF_ALL = 1000, 0.5
# So many records wait for the thread at most, and so many counts.
MOST_WAITING = 2000
MOST_COUNTS = 20_000
SECONDS_A_DAY = 86_400


class Refused(NamedTuple):
    """What refused calls are counted by: the day (UTC), the key's id, the status, the error's code."""

    day: date
    key: str
    status: int
    error: str


class Batch(NamedTuple):
    """What waits to be stored: records, and how many calls there were."""

    records: list[Record]
    counts: Counter[Refused]


class Bucket:
    """Lets so many pass at once, and then one every so many seconds."""

    __slots__ = ("at", "each", "most", "tokens")

    def __init__(self, most: int, each: float, now: float) -> None:
        self.most, self.each, self.tokens, self.at = most, each, float(most), now

    def has_room(self, now: float) -> bool:
        """Tells whether one more may pass."""
        self.tokens = min(self.most, self.tokens + (now - self.at) / self.each)
        self.at = now
        return self.tokens >= 1


class RefusedCalls:
    """The refused calls of this process that are not in the database yet.

    The event loop adds them, and another thread takes them.  `unrecorded` counts those that no record is kept of.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.clock = clock
        self.unrecorded = 0
        self._lock = threading.Lock()
        self._records: list[dict[str, Any]] = []
        self._counts: Counter[Refused] = Counter()
        self._all = Bucket(KEPT_OF_ALL, SECONDS_OF_ALL, clock())
        self._buckets: dict[tuple[str, str], Bucket] = {}

    def add(self, said: Mapping[str, Any]) -> None:
        """Counts a call, and keeps what is said of it (as in the journal) unless many like it came just before."""
        day = day_of(int(said["at"]) // SECONDS_A_DAY)
        refused = Refused(day, said["key"], said["status"], said["error"])
        with self._lock:
            if refused not in self._counts and len(self._counts) >= MOST_COUNTS:
                refused = Refused(day, "", said["status"], said["error"])
            self._counts[refused] += 1
            if len(self._records) < MOST_WAITING and self._passes(said["key"], said["error"]):
                self._records.append(dict(said))
            else:
                self.unrecorded += 1

    def _passes(self, key: str, error: str) -> bool:
        now = self.clock()
        bucket = self._buckets.get((key, error))
        if bucket is None:
            if len(self._buckets) >= MOST_COUNTS:
                self._buckets.clear()
            bucket = self._buckets[key, error] = Bucket(KEPT_AT_ONCE, SECONDS_EACH, now)
        # Both are asked, so that a flood of one key takes no more than its own share of what all may.
        if not bucket.has_room(now) or not self._all.has_room(now):
            return False
        bucket.tokens -= 1
        self._all.tokens -= 1
        return True

    def take(self) -> Batch:
        """Returns what waits; it waits no more."""
        with self._lock:
            records, self._records = self._records, []
            counts, self._counts = self._counts, Counter()
        return Batch([record(said) for said in records], counts)

    def put_back(self, batch: Batch) -> None:
        """Takes back what could not be stored: all counts, and as many records as there is room for."""
        with self._lock:
            self._counts.update(batch.counts)
            room = max(0, MOST_WAITING - len(self._records))
            self._records[:0] = [kept._asdict() for kept in batch.records[:room]]
            self.unrecorded += max(0, len(batch.records) - room)


@lru_cache(maxsize=4)
def day_of(number: int) -> date:
    """Returns the day that begins so many days after the epoch (UTC)."""
    return datetime.fromtimestamp(number * SECONDS_A_DAY, UTC).date()


refused_calls = RefusedCalls()
