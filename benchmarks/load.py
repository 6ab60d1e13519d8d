"""The load: requests over raw sockets on uvloop, as little work for each answer as can be.

A process of its own, told what to do by JSON lines on its input: a request is tried and its answer checked, all
connections are warmed, `ready` is said; at `go` each connection sends one request after another until the time is up.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import resource
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import uvloop

from benchmarks.spread import percentile

if TYPE_CHECKING:
    from collections.abc import Callable

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
LAST_CHUNK = b"\r\n0\r\n\r\n"
PATIENCE_SECONDS = 60


class WrongAnswer(Exception):
    """An answer is not what it has to be."""


@dataclass(slots=True)
class Answer:
    """What came back for one request."""

    first_byte: float = 0.0
    body: bytes = b""


class Client(asyncio.Protocol):
    """One connection; sends a request when told to and says when its answer is whole."""

    def __init__(self, request: bytes, done: Callable[[Client], None]) -> None:
        self.request = request
        self.done = done
        self.keep: list[bytes] | None = None
        self.failure = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Reports a connection that the server closed."""
        self.failure = f"the connection was closed ({exc})"
        self.done(self)

    def send(self) -> None:
        """Sends the request."""
        self.head = b""
        self.in_body = False
        self.tail = b""
        self.left = 0
        self.first_byte = 0.0
        self.sent_at = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """Looks for the end of the answer: by its length, or by the last chunk."""
        if self.keep is not None:
            self.keep.append(data)
        if not self.in_body:
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return
            data = self._begin(end)
        if not data and self.left:
            return
        if not self.first_byte:
            self.first_byte = time.perf_counter() - self.sent_at
        if self.chunked:
            self.tail = (self.tail + data)[-len(LAST_CHUNK) :]
            if self.tail == LAST_CHUNK:
                self.done(self)
        else:
            self.left -= len(data)
            if self.left <= 0:
                self.done(self)

    def _begin(self, end: int) -> bytes:
        self.in_body = True
        if not self.head.startswith(b"HTTP/1.1 200"):
            self.failure = self.head.decode("utf-8", "replace")
        found = LENGTH.search(self.head, 0, end)
        self.chunked = found is None
        self.left = int(found[1]) if found else 1
        return self.head[end + 4 :]


class Load:
    """Connections that all send the same request."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.request = base64.b64decode(job["request"])
        self.clients: list[Client] = []
        self.first_bytes: list[float] = []
        self.wholes: list[float] = []
        self.finished = 0

    async def prepare(self) -> None:
        """Connects, checks one answer and warms every connection; raises WrongAnswer."""
        loop = asyncio.get_running_loop()
        address = urlsplit(self.job["url"])
        for _ in range(self.job["connections"]):
            _transport, client = await loop.create_connection(
                lambda: Client(self.request, self._ignore), address.hostname, address.port
            )
            self.clients.append(client)
        first = self.clients[0]
        first.keep = []
        await self._one(first)
        found = b"".join(first.keep).count(self.job["mark"].encode())
        if found != self.job["marks"]:
            said = b"".join(first.keep)[:1000].decode("utf-8", "replace")
            raise WrongAnswer(f"{self.job['mark']} is there {found} times instead of {self.job['marks']}: {said}")
        first.keep = None
        for _ in range(self.job["warm_up"]):
            await asyncio.gather(*(self._one(client) for client in self.clients))

    async def measure(self) -> dict[str, float]:
        """Sends for as long as asked; returns counts and times in seconds. Raises WrongAnswer."""
        self.over = asyncio.get_running_loop().create_future()
        self.busy = len(self.clients)
        self.until = time.perf_counter() + self.job["seconds"]
        cpu, started = cpu_seconds(), time.perf_counter()
        for client in self.clients:
            client.done = self._next
            client.send()
        await asyncio.wait_for(self.over, self.job["seconds"] + PATIENCE_SECONDS)
        elapsed = time.perf_counter() - started
        first_bytes, wholes = sorted(self.first_bytes), sorted(self.wholes)
        return {
            "requests": self.finished,
            "seconds": elapsed,
            "first_byte_p50": percentile(first_bytes, 0.5),
            "first_byte_p99": percentile(first_bytes, 0.99),
            "whole_p50": percentile(wholes, 0.5),
            "whole_p99": percentile(wholes, 0.99),
            "load_cpu": cpu_seconds() - cpu,
        }

    async def close(self) -> None:
        """Closes all connections."""
        for client in self.clients:
            client.done = self._ignore
            client.transport.abort()
        await asyncio.sleep(0)

    def _next(self, client: Client) -> None:
        if client.failure:
            if not self.over.done():
                self.over.set_exception(WrongAnswer(client.failure))
            return
        now = time.perf_counter()
        self.first_bytes.append(client.first_byte)
        self.wholes.append(now - client.sent_at)
        self.finished += 1
        if now < self.until:
            client.send()
            return
        self.busy -= 1
        if not self.busy and not self.over.done():
            self.over.set_result(None)

    async def _one(self, client: Client) -> None:
        future = asyncio.get_running_loop().create_future()

        def done(client: Client) -> None:
            if future.done():
                return
            if client.failure:
                future.set_exception(WrongAnswer(client.failure))
            else:
                future.set_result(None)

        client.done = done
        client.send()
        await asyncio.wait_for(future, PATIENCE_SECONDS)

    def _ignore(self, client: Client) -> None:
        """Takes no notice of what happens outside a measurement."""


def cpu_seconds() -> float:
    """Returns the CPU time that this process has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def say(value: object) -> None:
    """Writes one JSON line."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


async def work(line: str, wait_for_go: Callable[[], str]) -> None:
    """Does one job."""
    load = Load(json.loads(line))
    try:
        await load.prepare()
        say("ready")
        wait_for_go()
        say(await load.measure())
    except (WrongAnswer, OSError, TimeoutError) as error:
        say({"failure": f"{type(error).__name__}: {error}"})
    finally:
        await load.close()


def main() -> None:
    """Does jobs until the input ends."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        while line := sys.stdin.readline():
            runner.run(work(line, sys.stdin.readline))


if __name__ == "__main__":
    main()
