"""Runs the bench: `scripts/bench`, or `python -m benchmarks.bench`."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cases import CASES
from benchmarks.cores import choose, pinned
from benchmarks.servers import SERVERS, Bare, ServerFailed
from benchmarks.stub_client import StubProcess
from benchmarks.table import Row, markdown
from benchmarks.trial import Loader, TrialFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.cores import Cores
    from benchmarks.servers import Server

BUSY = 0.5  # load average from which a warning is due
PAIRS, SECONDS = 9, 1.0
QUICK_PAIRS, QUICK_SECONDS = 3, 0.4


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures what it is asked to and prints the table."""
    options = parse(arguments)
    cores = choose()
    options.load = os.getloadavg()[0]
    if options.load > BUSY:
        say(f"Something else keeps this machine busy (load average {options.load:.1f}): the figures will be too high.")
    try:
        rows = measure(options, cores)
    except (ServerFailed, TrialFailed) as error:
        sys.exit(f"The bench stopped: {error}")
    text = f"{markdown(rows)}\n\n{about(options, cores)}\n"
    sys.stdout.write(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line; --quick changes the defaults and nothing that is given."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures what the gateway costs beside the least that a relay in Python costs.",
    )
    parser.add_argument("--quick", action="store_true", help="under a minute: fewer and shorter trials")
    parser.add_argument("--pairs", type=int, help=f"how often each server is measured in turn (default {PAIRS})")
    parser.add_argument("--seconds", type=float, help=f"how long each trial sends requests (default {SECONDS:g})")
    parser.add_argument(
        "--servers", default=",".join(SERVERS), help="which servers, separated by commas (default: all)"
    )
    parser.add_argument("--cases", default="", help="only cases whose name contains this text")
    parser.add_argument("--output", type=Path, help="a file for the table as well")
    options = parser.parse_args(arguments)
    options.pairs = options.pairs or (QUICK_PAIRS if options.quick else PAIRS)
    options.seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    options.servers = [name for name in options.servers.split(",") if name]
    options.cases = [case for case in CASES if options.cases in case.name]
    if unknown := [name for name in options.servers if name not in SERVERS]:
        parser.error(f"no server is called {', '.join(unknown)}: choose from {', '.join(SERVERS)}")
    if not options.cases:
        parser.error("no case has that in its name: see benchmarks/cases.py")
    return options


def measure(options: argparse.Namespace, cores: Cores) -> list[Row]:
    """Starts everything and takes all trials; raises ServerFailed or TrialFailed."""
    with ExitStack() as stack:
        with pinned(cores.load):
            stub = stack.enter_context(StubProcess("--record", "0", "--models", "mistral:latest"))
        loader = stack.enter_context(Loader(stub.pid, cores.load))
        servers: list[Server] = [Bare(stub.url, stub.pid)]
        for name in options.servers:
            say(f"starting {name} …")
            with pinned(cores.server):
                servers.append(SERVERS[name](stub.url))
            stack.callback(servers[-1].stop)
        rows = [Row(case, server.name) for case in options.cases for server in servers]
        for number in range(options.pairs):
            for case in options.cases:
                say(f"pair {number + 1} of {options.pairs}: {case.name}")
                # Every other pair goes the other way round, so that drift favours nobody.
                for server in servers if number % 2 == 0 else reversed(servers):
                    row = next(row for row in rows if row.case is case and row.server == server.name)
                    row.pairs.append(
                        {
                            chunks: loader.run(server, request, case.connections, options.seconds)
                            for chunks, request in case.requests.items()
                        }
                    )
    return rows


def about(options: argparse.Namespace, cores: Cores) -> str:
    """Says how the table came about."""
    return (
        f"Medians of {options.pairs} interleaved pairs of {options.seconds:g} s a trial; in brackets the interval that "
        f"holds the true median with 95 % confidence. {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, {processor()}; {cores.describe()}; "
        f"load average before the run {options.load:.1f}. See benchmarks/README.md."
    )


def processor() -> str:
    """Names the processor, as far as the system says."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


def say(line: str) -> None:
    """Tells whoever waits what is happening, beside the table."""
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main()
