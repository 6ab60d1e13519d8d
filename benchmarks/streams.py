"""Many streams at once, held open: how late does each event come?

A process of its own, told what to do by JSON lines on its input: whose streams they are, how many to hold – more are
opened one by one, some are left –, and for how long to take the lateness of every event.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import sys
import time
from typing import Any, cast
from urllib.parse import urlsplit

import uvloop

from benchmarks.load import WrongAnswer, cpu_seconds, say
from benchmarks.spread import percentile
from benchmarks.stub import stamps

OPENED_A_SECOND = 500  # slow enough that opening does not hold up what is open
SETTLE_SECONDS = 1.0
PATIENCE_SECONDS = 5.0
POLL_SECONDS = 0.1
MICROSECONDS = 1e6
CUT = len(stamps.BLANK) - 1  # so many bytes may be the beginning of a stamp


class Reader(asyncio.Protocol):
    """One stream; tells how late each of its events came."""

    def __init__(self, request: bytes, late: list[float]) -> None:
        self.request = request
        self.late = late
        self.rest = b""
        self.began = False
        self.ended = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the request."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """Compares the stamps with the clock."""
        now = time.monotonic() * MICROSECONDS
        if not self.began:
            self.began = True
            if not data.startswith(b"HTTP/1.1 200"):
                self.ended = data[:300].decode("utf-8", "replace")
                self.transport.abort()
                return
        data = self.rest + data
        end = 0
        for found in stamps.PATTERN.finditer(data):
            self.late.append(now - int(found[1]))
            end = found.end()
        self.rest = data[max(end, len(data) - CUT) :]

    def connection_lost(self, exc: Exception | None) -> None:
        """Remembers that the stream ended before it was left."""
        self.ended = self.ended or f"the connection was closed ({exc})"


class Streams:
    """The streams of one server."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.address = urlsplit(job["url"])
        self.request = base64.b64decode(job["request"])
        self.limit: float = job["limit"]
        self.late: list[float] = []
        self.readers: list[Reader] = []

    async def hold(self, count: int) -> None:
        """Opens streams, so many a second, or leaves some; raises WrongAnswer when one does not begin or ended."""
        loop = asyncio.get_running_loop()
        for reader in self.readers[count:]:
            reader.transport.abort()
        del self.readers[count:]
        missing = max(0, count - len(self.readers))
        started = loop.time()
        async with asyncio.timeout(missing / OPENED_A_SECOND + PATIENCE_SECONDS):
            for number in range(missing):
                await asyncio.sleep(max(0.0, started + number / OPENED_A_SECOND - loop.time()))
                _transport, reader = await loop.create_connection(
                    lambda: Reader(self.request, self.late), self.address.hostname, self.address.port
                )
                self.readers.append(reader)
        # Some servers open streams more slowly than they serve them.
        patient = loop.time() + PATIENCE_SECONDS
        while loop.time() < patient and not all(reader.began for reader in self.readers):  # noqa: ASYNC110 -- costs least
            await asyncio.sleep(POLL_SECONDS)
        await asyncio.sleep(SETTLE_SECONDS)
        self._check()

    async def measure(self, seconds: float) -> dict[str, float]:
        """Takes the lateness of what comes meanwhile; times in seconds. Raises WrongAnswer."""
        self.late.clear()
        cpu, started = cpu_seconds(), time.perf_counter()
        await asyncio.sleep(seconds)
        ordered = sorted(self.late)
        elapsed = time.perf_counter() - started
        self._check()
        if not ordered:
            raise WrongAnswer("no event came at all")
        return {
            "events": len(ordered),
            "seconds": elapsed,
            "p50": percentile(ordered, 0.5) / MICROSECONDS,
            "p99": percentile(ordered, 0.99) / MICROSECONDS,
            "worst": ordered[-1] / MICROSECONDS,
            "late": sum(value > self.limit * MICROSECONDS for value in ordered),
            "load_cpu": cpu_seconds() - cpu,
        }

    def _check(self) -> None:
        if ended := [reader.ended for reader in self.readers if reader.ended]:
            raise WrongAnswer(f"{len(ended)} of {len(self.readers)} streams ended: {ended[0]}")
        if waiting := sum(not reader.began for reader in self.readers):
            raise WrongAnswer(f"{waiting} of {len(self.readers)} streams did not begin in time")


async def work() -> None:
    """Does what the lines say until the input ends."""
    streams: Streams | None = None
    while line := await asyncio.to_thread(sys.stdin.readline):
        job = json.loads(line)
        try:
            if "url" in job:
                if streams:
                    await streams.hold(0)
                streams = Streams(job)
                say("ready")
            elif streams and "streams" in job:
                await streams.hold(job["streams"])
                say("ready")
            elif streams:
                say(await streams.measure(job["window"]))
        except (WrongAnswer, OSError, TimeoutError) as error:
            say({"failure": f"{type(error).__name__}: {error}"})
        if not (streams and streams.readers):
            gc.collect()


def main() -> None:
    """Runs without the collector: a pause of it would be taken for the server's lateness."""
    gc.disable()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())


if __name__ == "__main__":
    main()
