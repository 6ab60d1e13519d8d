"""Runs the bench: `scripts/bench`, or `python -m benchmarks.bench`."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import table
from benchmarks.child import TrialFailed
from benchmarks.cores import choose
from benchmarks.options import parse
from benchmarks.servers import SERVERS
from benchmarks.started import ServerFailed
from benchmarks.traffic import Traffic, say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from benchmarks.cores import Cores

BUSY = 0.5  # load average from which a warning is due


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures what it is asked to, prints the tables and keeps them as files."""
    options = parse(arguments)
    cores = choose()
    options.load = os.getloadavg()[0]
    if options.load > BUSY:
        say(f"Something else keeps this machine busy (load average {options.load:.1f}): the figures will be too high.")
    traffic = Traffic(options.cases, options.pairs, options.seconds)
    try:
        traffic.measure({name: SERVERS[name] for name in options.servers}, cores)
    except (ServerFailed, TrialFailed) as error:
        sys.exit(f"The bench stopped: {error}")
    parts = [table.costs(traffic.rows), table.ways(traffic.rows), *traffic.notes, about(options, cores)]
    text = "\n\n".join(part for part in parts if part) + "\n"
    sys.stdout.write(text)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "table.md").write_text(text, encoding="utf-8")


def about(options: argparse.Namespace, cores: Cores) -> str:
    """Says how the tables came about."""
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


if __name__ == "__main__":
    main()
