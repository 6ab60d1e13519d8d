"""The command line of the bench."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cases import CASES
from benchmarks.servers import OURS, SERVERS

if TYPE_CHECKING:
    from collections.abc import Sequence

PAIRS, SECONDS = 9, 0.4
QUICK_PAIRS, QUICK_SECONDS = 3, 0.4
PARTS = ("requests", "streams", "largest", "growth")
USUAL = ("requests", "streams")
RESULTS = Path(__file__).with_name("results")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line; --quick and --full change the defaults and nothing that is given."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures what the gateway costs, beside its peers and the least that a relay in Python costs.",
    )
    parser.add_argument("--quick", action="store_true", help="under a minute: no rivals, fewer and shorter trials")
    parser.add_argument("--full", action="store_true", help="every case and part, in an hour")
    parser.add_argument("--parts", help=f"which of {', '.join(PARTS)} (default {','.join(USUAL)})")
    parser.add_argument("--pairs", type=int, help=f"how often each server is measured in turn (default {PAIRS})")
    parser.add_argument("--seconds", type=float, help=f"how long each trial sends requests (default {SECONDS:g})")
    parser.add_argument("--servers", help="which servers, separated by commas (default: all)")
    parser.add_argument("--cases", default="", help="only cases whose name contains this text, of all that there are")
    parser.add_argument(
        "--soak",
        type=float,
        metavar="MINUTES",
        help="nothing but so long a run of mixed endings, after half as long a warm-up",
    )
    parser.add_argument("--profile", action="store_true", help="nothing but flame graphs of the gateway in each case")
    parser.add_argument("--output", type=Path, help=f"the folder for table, plot and graphs (default {RESULTS})")
    options = parser.parse_args(arguments)
    options.pairs = options.pairs or (QUICK_PAIRS if options.quick else PAIRS)
    options.seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    options.output = options.output or RESULTS
    chosen = options.servers.split(",") if options.servers else list(OURS if options.quick else SERVERS)
    options.servers = [name for name in chosen if name]
    if unknown := [name for name in options.servers if name not in SERVERS]:
        parser.error(f"no server is called {', '.join(unknown)}: choose from {', '.join(SERVERS)}")
    parts = PARTS if options.full else ("requests",) if options.quick or options.cases else USUAL
    options.parts = options.parts.split(",") if options.parts else list(parts)
    if unknown := [name for name in options.parts if name not in PARTS]:
        parser.error(f"no part is called {', '.join(unknown)}: choose from {', '.join(PARTS)}")
    runs = {"quick"} if options.quick or options.profile else {"quick", "usual"}
    runs = {"quick", "usual", "full"} if options.full else runs
    options.cases = [case for case in CASES if (options.cases in case.name if options.cases else case.run in runs)]
    if not options.cases:
        parser.error("no case has that in its name: see benchmarks/cases.py")
    return options
