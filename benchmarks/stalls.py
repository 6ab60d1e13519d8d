"""How many streams a server holds without a stall: no event later than a limit after it was due."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from benchmarks.cases import CHUNK_MARKS, OPENAI, QUESTION, Request, body_of
from benchmarks.child import Child, TrialFailed
from benchmarks.meter import ProcessMeter
from benchmarks.trial import bytes_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.started import Server

LIMIT_SECONDS = 0.05
WINDOW_SECONDS = 2.0
LONGEST_SECONDS = 150  # that a stream goes on at most
WHOLE = 0.98  # of the events that were due must have come
FIRST, MOST = 32, 4096  # the latter takes 16,000 open files in all
CLOSE = 1.15  # what stalls and what does not may differ by this factor
ROOM = 0.7  # of a core is where the limit is looked for
LEAP = 8  # times the number that was held is the most that is tried next
TRIES = 3  # times in a row that it must stall to count as stalling


@dataclass(frozen=True, slots=True)
class Held:
    """So many streams at so many events a second each: lateness in seconds, CPU as shares, kilobytes a stream."""

    streams: int
    rate: float
    events: float
    p50: float
    p99: float
    worst: float
    late: int
    cpu: float
    other_core: float
    kilobytes: float

    @property
    def stalls(self) -> bool:
        """Tells whether an event came too late, or did not come."""
        return self.late > 0 or self.events < WHOLE * self.streams * self.rate


class Holder(Child):
    """The process that holds streams, pinned beside the stub."""

    def __init__(self, stub_pid: int, core: int | None) -> None:
        super().__init__("benchmarks.streams", core)
        self.stub = ProcessMeter(stub_pid)

    def begin(self, server: Server, rate: float) -> None:
        """Turns to a server, and to so many events a second; streams that are held are left."""
        self.server, self.rate = server, rate
        self.meter = ProcessMeter(server.pid)
        self.empty = self.meter.megabytes()
        request = base64.b64encode(bytes_of(server, request_of(rate, LONGEST_SECONDS))).decode()
        self.ask({"url": server.url, "request": request, "limit": LIMIT_SECONDS}, server.name)

    def hold(self, streams: int, window: float = WINDOW_SECONDS) -> Held:
        """Holds so many streams for a while; raises TrialFailed when one does not begin or ends."""
        name = self.server.name
        self.ask({"streams": streams}, name)
        full = self.meter.megabytes()
        before, stub_before = self.meter.cpu_seconds(), self.stub.cpu_seconds()
        found = self.ask({"window": window}, name)
        cpu, stub_cpu = self.meter.cpu_seconds() - before, self.stub.cpu_seconds() - stub_before
        seconds = found["seconds"]
        return Held(
            streams=streams,
            rate=self.rate,
            events=found["events"] / seconds,
            p50=found["p50"],
            p99=found["p99"],
            worst=found["worst"],
            late=found["late"],
            cpu=cpu / seconds,
            other_core=(found["load_cpu"] + stub_cpu) / seconds,
            kilobytes=(full - self.empty) * 1024 / streams,
        )


def request_of(rate: float, seconds: float) -> Request:
    """A stream of stamps at so many events a second, long enough."""
    chunks = int(rate * seconds)
    text = f"{QUESTION} [[chunks={chunks} interval_ms={1000 / rate:g} stamp=1]]"
    return Request(OPENAI, body_of(OPENAI, text, chunks, stream=True), CHUNK_MARKS[OPENAI], chunks, 0)


def most(hold: Callable[[int], Held | None]) -> Held | None:
    """Finds the largest number of streams that does not stall; None when not even one is held.

    `hold` holds a number of streams and returns what it saw, None where that stalls.
    """
    best: Held | None = None
    good, bad = 0, MOST + 1
    number = FIRST
    while bad > CLOSE * good and bad - good > 1:
        if held := hold(number):
            best, good = held, number
        else:
            bad = number
        number = next_number(good, bad, best)
    return best


def next_number(good: int, bad: int, best: Held | None) -> int:
    """Guesses from the core's load where the limit is, then halves what is between."""
    if bad > MOST and best:
        busy = max(best.cpu, best.other_core, ROOM / LEAP)
        return min(MOST, int(good * max(CLOSE, ROOM / busy)) + 1)
    return max(1, (good + bad) // 2)


class Climb:
    """Holds more and more streams of a server; what is fewer than before gets a new one.

    Not every server ends its own request when a client leaves: what is left would go on and on behind it.
    """

    def __init__(self, holder: Holder, make: Callable[[], Server], rate: float) -> None:
        self.holder = holder
        self.make = make
        self.rate = rate
        self.server: Server | None = None
        self.tried = MOST + 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self.server:
            self.server.stop()

    def hold(self, streams: int) -> Held | None:
        """Holds so many, with more than one chance: what the machine does may be to blame for a stall."""
        if streams < self.tried:
            self._renew()
        self.tried = streams
        for _ in range(TRIES):
            try:
                held = self.holder.hold(streams)
            except TrialFailed:
                break
            if not held.stalls:
                return held
        self.tried = MOST + 1
        return None

    def _renew(self) -> None:
        if self.server:
            self.server.stop()
        self.server = self.make()
        self.holder.begin(self.server, self.rate)
