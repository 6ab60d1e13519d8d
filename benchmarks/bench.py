"""Runs the bench: `scripts/bench`, or `python -m benchmarks.bench`."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import flames, growth, plot, soak, table
from benchmarks.cases import CASES
from benchmarks.child import TrialFailed
from benchmarks.cores import choose
from benchmarks.holding import Holding
from benchmarks.options import parse
from benchmarks.servers import SERVERS
from benchmarks.started import ServerFailed
from benchmarks.summary import summary
from benchmarks.traffic import Traffic, say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from benchmarks.cores import Cores

BUSY = 0.5  # load average from which a warning is due


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures what it is asked to, prints the tables and keeps them and the plot as files."""
    options = parse(arguments)
    cores = choose()
    options.load = os.getloadavg()[0]
    if options.load > BUSY:
        say(f"Something else keeps this machine busy (load average {options.load:.1f}): the figures will be too high.")
    try:
        if options.profile:
            drawn = flames.draw(options.cases, options.output, cores)
            sys.stdout.write("".join(f"{file}\n" for file in drawn))
        elif options.soak:
            keep(options.output / "soak.md", soak.measure(options.soak, cores) + f"\n\n{machine(options, cores)}\n")
        else:
            measure(options, cores)
    except (ServerFailed, TrialFailed) as error:
        sys.exit(f"The bench stopped: {error}")


def measure(options: argparse.Namespace, cores: Cores) -> None:
    """Measures the parts that are asked for; raises ServerFailed or TrialFailed."""
    made = {name: SERVERS[name] for name in options.servers}
    traffic, holding, parts = Traffic(options.cases, options.pairs, options.seconds), Holding(), []
    if "requests" in options.parts:
        traffic.measure(made, cores)
        parts += [summary(traffic.rows), table.costs(traffic.rows), table.ways(traffic.rows), *traffic.notes]
    if "streams" in options.parts:
        holding.keep_promises(options.pairs, cores)
    if "largest" in options.parts:
        holding.search(made, cores)
    parts.append(holding.markdown())
    if "growth" in options.parts:
        quick = [case for case in CASES if case.run == "quick"]
        parts.append(growth.measure(quick, options.pairs, options.seconds, cores))
    parts.append(about(options, cores))
    keep(options.output / "table.md", "\n\n".join(part for part in parts if part) + "\n")
    if drawing := plot.draw(traffic.rows, machine(options, cores)):
        (options.output / "plot.svg").write_text(drawing, encoding="utf-8")


def keep(file: Path, text: str) -> None:
    """Prints a text and writes it into a file."""
    sys.stdout.write(text)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def about(options: argparse.Namespace, cores: Cores) -> str:
    """Says how the tables came about."""
    return (
        f"Medians of {options.pairs} interleaved pairs of {options.seconds:g} s a trial; in brackets the interval that "
        f"holds the true median with 95 % confidence. {machine(options, cores)} See benchmarks/README.md."
    )


def machine(options: argparse.Namespace, cores: Cores) -> str:
    """Says where it was measured."""
    return (
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {processor()}; "
        f"{cores.describe()}; load average before the run {options.load:.1f}."
    )


def processor() -> str:
    """Names the processor, as far as the system says."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


if __name__ == "__main__":
    main()
