"""The long run: does the gateway's memory stay what it is, whatever way requests end?"""

from __future__ import annotations

import base64
import time
from contextlib import ExitStack
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.cases import CHUNK_MARKS, OPENAI, Request, body_of, stream, whole
from benchmarks.child import Child
from benchmarks.cores import pinned
from benchmarks.meter import ProcessMeter
from benchmarks.servers import Gateway
from benchmarks.slope import slope
from benchmarks.stub_client import StubProcess
from benchmarks.table import markdown
from benchmarks.traffic import say
from benchmarks.trial import bytes_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.cores import Cores
    from benchmarks.started import Server

CONNECTIONS = 16
PAUSE_SECONDS = 0.1  # between two requests of a connection, on average
# The part of the measured time that goes before it.  Resident memory is a high-water mark: the allocators' pages are
# touched one by one until there were enough for the busiest moment.
WARM_UP = 0.5
SAMPLES_A_MINUTE = 30
HEADINGS = ("minutes", "requests", "memory at first MB", "at last MB", "slope KB a minute", "flat")


def requests() -> dict[str, Request]:
    """One request for each way to end."""
    return {
        "done": whole(OPENAI)[0],
        "streamed": stream(OPENAI, 30, 2),
        "left": stream(OPENAI, 200, 20),
        "failed before": _faulty("status=500"),
        "failed within": _faulty("chunks=30 interval_ms=2 error_after=10"),
        "cut within": _faulty("chunks=30 interval_ms=2 die_after=10"),
        "refused": Request(OPENAI, b'{"model":"mistral","model":"other","messages":[]}', b"", 0, 0),
        "not there": Request(
            OPENAI, body_of(OPENAI, "Hello", 5, stream=False).replace(b"mistral", b"missing"), b"", 0, 0
        ),
    }


def _faulty(knobs: str) -> Request:
    body = body_of(OPENAI, f"Why is the sky blue? [[{knobs}]]", 100, stream=True)
    return Request(OPENAI, body, CHUNK_MARKS[OPENAI], 0, 0)


def closing(server: Server, request: Request) -> str:
    """Writes a request that asks for the connection to be closed behind it, in base64."""
    data = bytes_of(server, request).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
    return base64.b64encode(data).decode()


def measure(minutes: float, cores: Cores) -> str:
    """Soaks the gateway and writes how its memory fared; raises ServerFailed or TrialFailed."""
    with ExitStack() as stack:
        with pinned(cores.load):
            stub = stack.enter_context(StubProcess("--record", "0", "--models", "mistral:latest"))
        with pinned(cores.server):
            server = Gateway(stub.url)
        stack.callback(server.stop)
        child = stack.enter_context(Child("benchmarks.soaking", cores.load))
        sent = {name: closing(server, request) for name, request in requests().items()}
        job = {"url": server.url, "requests": sent, "connections": CONNECTIONS, "pause": PAUSE_SECONDS}
        child.ask(job, server.name)
        meter = ProcessMeter(server.pid)
        times: list[float] = []
        sizes: list[float] = []
        started = time.monotonic()
        warm, whole = minutes * WARM_UP, minutes * (1 + WARM_UP)
        before: dict[str, int] | None = None
        while (passed := (time.monotonic() - started) / 60) < whole:
            time.sleep(60 / SAMPLES_A_MINUTE)
            times.append((time.monotonic() - started) / 60)
            sizes.append(meter.megabytes())
            if before is None and times[-1] >= warm:
                before, times, sizes = child.ask("seen", server.name), [], []
            elif len(times) % SAMPLES_A_MINUTE == 0:
                seen = child.ask("seen", server.name)
                say(f"{passed:.0f} of {whole:g} minutes: {sizes[-1]:.1f} MB after {sum(seen.values()):,} requests")
        seen = child.ask("seen", server.name)
    return report(times, sizes, {name: count - (before or {}).get(name, 0) for name, count in seen.items()})


def report(times: list[float], sizes: list[float], seen: Mapping[str, int]) -> str:
    """Writes the slope of what was measured, in kilobytes a minute, and how requests ended."""
    found = slope(times, [1024 * size for size in sizes])
    tenth = max(1, len(sizes) // 10)
    cells = [
        f"{times[-1] - times[0]:.0f}",
        f"{sum(seen.values()):,}",
        f"{median(sizes[:tenth]):.1f}",
        f"{median(sizes[-tenth:]):.1f}",
        f"{found.rise:+.1f} ± {found.noise:.1f}",
        "yes" if found.is_flat else "no",
    ]
    endings = ", ".join(f"{name} ({count:,})" for name, count in sorted(seen.items()))
    return f"{markdown(HEADINGS, [cells], words=0)}\n\nEndings, and the status that the client saw: {endings}."
