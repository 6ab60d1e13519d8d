"""One trial: a request sent at one server for a while, and what that cost."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from benchmarks.child import Child, TrialFailed
from benchmarks.meter import ProcessMeter

if TYPE_CHECKING:
    from benchmarks.cases import Request
    from benchmarks.started import Server

MICROSECONDS = 1e6
START_SECONDS = 3.0  # in which what it does at its start is over
RESTS = 4  # so many times its afterwork a server is watched at rest


@dataclass(frozen=True, slots=True)
class Trial:
    """What one trial showed: rates a second, times in seconds, CPU in microseconds a request, memory in megabytes."""

    rate: float
    first_byte_p50: float
    first_byte_p99: float
    whole_p50: float
    whole_p99: float
    cpu: float
    megabytes: float
    other_core: float


class Loader(Child):
    """The process that makes the load, pinned beside the stub; does one trial after the other."""

    def __init__(self, stub_pid: int, core: int | None) -> None:
        super().__init__("benchmarks.load", core)
        self.stub = ProcessMeter(stub_pid)
        self.rests: dict[int, float] = {}

    def at_rest(self, server: Server, meter: ProcessMeter) -> float:
        """Returns the CPU seconds that a server with nothing to do takes while its afterwork is waited for."""
        if not server.afterwork:
            return 0.0
        if server.pid not in self.rests:
            time.sleep(START_SECONDS)
            before = meter.cpu_seconds()
            time.sleep(RESTS * server.afterwork)
            self.rests[server.pid] = (meter.cpu_seconds() - before) / RESTS
        return self.rests[server.pid]

    def run(self, server: Server, request: Request, connections: int, seconds: float) -> Trial:
        """Sends a request over and over for some seconds; raises TrialFailed."""
        job = {
            "url": server.url,
            "request": base64.b64encode(bytes_of(server, request)).decode(),
            "connections": connections,
            "seconds": seconds,
            "mark": request.mark.decode(),
            "marks": request.marks,
            "warm_up": request.warm_up,
        }
        meter = ProcessMeter(server.pid)
        at_rest = self.at_rest(server, meter)
        self.ask(job, server.name)
        time.sleep(server.afterwork)
        before, stub_before = meter.cpu_seconds(), self.stub.cpu_seconds()
        found = self.ask("go", server.name)
        stub_cpu = self.stub.cpu_seconds() - stub_before
        time.sleep(server.afterwork)
        cpu = meter.cpu_seconds() - before - at_rest
        return Trial(
            rate=found["requests"] / found["seconds"],
            first_byte_p50=found["first_byte_p50"],
            first_byte_p99=found["first_byte_p99"],
            whole_p50=found["whole_p50"],
            whole_p99=found["whole_p99"],
            cpu=cpu / found["requests"] * MICROSECONDS,
            megabytes=meter.megabytes(),
            other_core=(found["load_cpu"] + stub_cpu) / found["seconds"],
        )


def bytes_of(server: Server, request: Request) -> bytes:
    """Writes a request as the bytes that travel; raises TrialFailed where the server does not speak its dialect."""
    path = server.path(request.endpoint)
    if path is None:
        raise TrialFailed(f"{server.name} does not serve {request.endpoint}")
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {urlsplit(server.url).netloc}",
        "Content-Type: application/json",
        *(f"{name}: {value}" for name, value in server.headers.items()),
        f"Content-Length: {len(request.body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + request.body
