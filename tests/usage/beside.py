"""Measures how long requests take while old records are pruned: `python -m tests.usage.beside DATABASE`.

DATABASE is a SQLite file that `tests.usage.fill` made. Two servers on copies of it take turns under the same load: one
prunes, the other has nothing to prune; who is not measured is stopped (SIGSTOP). With `--command` neither prunes by
itself, and `manage.py pruneusage` does while the first is measured. Requests are sent on time, whether or not those
before them have been answered, and timed from when they were due.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.cores import choose, pinned
from benchmarks.stub_client import StubProcess
from tests.harness import BASE_DIR, GatewayServer

CONNECTIONS = 16
SHOWN = (0.5, 0.9, 0.99, 0.999)
ISSUE = """
from apikeys.models import Key
print("issued", Key.objects.issue(label="load")[1])
"""


class Load:
    """Requests at an even rate over a few connections."""

    def __init__(self, server: GatewayServer, rate: float, *, stream: bool) -> None:
        body = json.dumps({"model": "stub", "prompt": "one two three [[chunks=4]]", "stream": stream}).encode()
        head = f"POST /api/generate HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {server.key}\r\n"
        self.request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        self.mark = b"0\r\n\r\n" if stream else b"}"
        self.port = server.port
        self.rate = rate
        self.taken: list[float] = []

    async def run(self, seconds: float) -> None:
        """Sends for so long."""
        free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        for _ in range(CONNECTIONS):
            free.put_nowait(await asyncio.open_connection("127.0.0.1", self.port))
        began = time.perf_counter()
        tasks = []
        for number in range(int(seconds * self.rate)):
            due = began + number / self.rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(self.one(free, due)))
        await asyncio.gather(*tasks)
        while not free.empty():
            free.get_nowait()[1].close()

    async def one(self, free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]], due: float) -> None:
        reader, writer = await free.get()
        writer.write(self.request)
        data = b""
        while not data.endswith(self.mark):
            data += await reader.read(2**16)
        self.taken.append(time.perf_counter() - due)
        assert data.startswith(b"HTTP/1.1 200"), data
        free.put_nowait((reader, writer))


def serve(database: str, folder: Path, stub: StubProcess, days: int) -> GatewayServer:
    """Starts a server on a copy of the database."""
    folder.mkdir()
    server = GatewayServer(ollama_url=stub.url, folder=folder, RECORD_DAYS=days)
    shutil.copyfile(database, folder / "db.sqlite3")
    said = server.manage("shell", "-v", "0", "-c", ISSUE).stdout
    server.key = said.split("issued ")[1].split()[0]
    return server.start()


def percentile(taken: list[float], share: float) -> float:
    """Returns the milliseconds within which this share was."""
    return sorted(taken)[min(len(taken) - 1, int(len(taken) * share))] * 1000


def main() -> None:
    """Measures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database")
    parser.add_argument("--days", type=int, default=100, help="RECORD_DAYS of the server that prunes")
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rate", type=float, default=300)
    parser.add_argument("--whole", action="store_true", help="answers are not streamed")
    parser.add_argument("--command", action="store_true", help="prune by manage.py pruneusage")
    parser.add_argument("--unpinned", action="store_true")
    options = parser.parse_args()
    cores = choose()
    here, there = (None, None) if options.unpinned else (cores.load, cores.server)
    with TemporaryDirectory(prefix="beside-") as place, pinned(here), StubProcess() as stub:
        with pinned(there):
            ages = {"prunes": 36_000 if options.command else options.days, "rests": 36_000}
            servers = [serve(options.database, Path(place, name), stub, days) for name, days in ages.items()]
        try:
            measure(options, servers, there)
        finally:
            for server in servers:
                assert server.process
                server.process.send_signal(signal.SIGCONT)
                server.stop()


def measure(options: argparse.Namespace, servers: list[GatewayServer], core: int | None) -> None:
    """Lets the servers take turns, and prints what came of it."""
    loads = [Load(server, options.rate, stream=not options.whole) for server in servers]
    windows: tuple[list[float], list[float]] = ([], [])
    for pair in range(options.pairs):
        for number in (0, 1) if pair % 2 else (1, 0):
            for other, server in enumerate(servers):
                assert server.process
                server.process.send_signal(signal.SIGCONT if other == number else signal.SIGSTOP)
            pruner = prune(servers[0], options.days, core) if options.command and number == 0 else None
            time.sleep(0.7)
            before = len(loads[number].taken)
            asyncio.run(loads[number].run(options.seconds))
            windows[number].append(percentile(loads[number].taken[before:], 0.99))
            if pruner is not None:
                pruner.terminate()
                pruner.wait()
    for name, load in zip(("pruning", "resting"), loads, strict=True):
        said = "   ".join(f"p{share * 100:g} {percentile(load.taken, share):6.2f}" for share in SHOWN)
        print(f"{name}: {len(load.taken):6}   {said}   mean {statistics.mean(load.taken) * 1000:6.2f} ms")  # noqa: T201
    differences = sorted(pruning - resting for pruning, resting in zip(*windows, strict=True))
    print("p99 of each turn, pruning:", *(f"{one:.2f}" for one in windows[0]))  # noqa: T201
    print("p99 of each turn, resting:", *(f"{one:.2f}" for one in windows[1]))  # noqa: T201
    print(f"median difference: {statistics.median(differences):+.2f} ms")  # noqa: T201
    for server in servers:
        server.process.send_signal(signal.SIGCONT)  # type: ignore[union-attr]
    code = "from usage.models import UsageRecord; print('left', UsageRecord.objects.count())"
    for server in servers:
        print(server.manage("shell", "-v", "0", "-c", code).stdout.strip())  # noqa: T201


def prune(server: GatewayServer, days: int, core: int | None) -> subprocess.Popen[bytes]:
    """Starts the command that prunes."""
    with pinned(core):
        command = [sys.executable, "manage.py", "pruneusage", "--days", str(days)]
        return subprocess.Popen(command, cwd=BASE_DIR, env=server.environment(), stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
    main()
