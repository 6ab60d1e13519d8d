"""One trial: a request sent at one server for a while, and what that cost."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from benchmarks.cores import pinned
from benchmarks.meter import ProcessMeter

if TYPE_CHECKING:
    from benchmarks.cases import Request
    from benchmarks.started import Server

BASE_DIR = Path(__file__).resolve().parent.parent
MICROSECONDS = 1e6


class TrialFailed(Exception):
    """A server gave a wrong answer, or none; its text says which."""


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


class Loader:
    """The process that makes the load, pinned beside the stub; does one trial after the other."""

    def __init__(self, stub_pid: int, core: int | None) -> None:
        self.stub = ProcessMeter(stub_pid)
        with pinned(core):
            self.process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.load"],
                cwd=BASE_DIR,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.terminate()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()
        self.process.wait()

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
        self._check(server, self._ask(json.dumps(job)))
        meter = ProcessMeter(server.pid)
        before, stub_before = meter.cpu_seconds(), self.stub.cpu_seconds()
        found = self._check(server, self._ask("go"))
        cpu, stub_cpu = meter.cpu_seconds() - before, self.stub.cpu_seconds() - stub_before
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

    def _ask(self, line: str) -> Any:
        if not self.process.stdin or not self.process.stdout:
            raise TrialFailed("the load process has no pipes")
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        said = self.process.stdout.readline()
        if not said:
            raise TrialFailed("the load process ended: the lines above say why")
        return json.loads(said)

    def _check(self, server: Server, said: Any) -> Any:
        if isinstance(said, dict) and "failure" in said:
            raise TrialFailed(f"{server.name}: {said['failure']}")
        return said


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
