"""The one table that the bench prints."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.spread import spread

if TYPE_CHECKING:
    from benchmarks.cases import Case
    from benchmarks.trial import Trial

REFERENCE = "floor"
MILLISECONDS = 1e3
HEADINGS = (
    "case",
    "server",
    "requests/s",
    "first byte p50 ms",
    "p99 ms",
    "CPU µs a request",
    "CPU µs a chunk",
    f"CPU ÷ {REFERENCE}",
    "memory MB",
    "load core busy",
)


@dataclass(slots=True)
class Row:
    """All trials of one server in one case: for each pair, the trials by number of chunks."""

    case: Case
    server: str
    pairs: list[dict[int, Trial]] = field(default_factory=list)

    @property
    def trials(self) -> list[Trial]:
        """The trials that the row shows: those with the most chunks."""
        return [pair[max(pair)] for pair in self.pairs]

    @property
    def chunk_costs(self) -> list[float]:
        """The CPU time of a streamed chunk in microseconds, in each pair: the slope from few chunks to many."""
        few, many = min(self.case.requests), max(self.case.requests)
        return [(pair[many].cpu - pair[few].cpu) / (many - few) for pair in self.pairs]

    @property
    def costs(self) -> list[float]:
        """What is compared, in each pair: the cost of a chunk where answers are streams, else that of a request."""
        return self.chunk_costs if self.case.streams else [trial.cpu for trial in self.trials]


def markdown(rows: list[Row]) -> str:
    """Writes the table; a ratio is the median of the pairs' ratios, with its 95 % interval."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---|---|" + "---:|" * (len(HEADINGS) - 2)]
    references = {row.case.name: row for row in rows if row.server == REFERENCE}
    lines += ["| " + " | ".join(cells(row, references.get(row.case.name))) + " |" for row in rows]
    return "\n".join(lines)


def cells(row: Row, reference: Row | None) -> list[str]:
    """Writes one row's cells."""
    trials = row.trials

    def middle(name: str, factor: float = 1) -> float:
        values: list[float] = [getattr(trial, name) for trial in trials]
        return median(values) * factor

    return [
        row.case.name,
        row.server,
        f"{middle('rate'):,.0f}",
        f"{middle('first_byte_p50', MILLISECONDS):.2f}",
        f"{middle('first_byte_p99', MILLISECONDS):.2f}",
        f"{middle('cpu'):,.0f}",
        f"{median(row.chunk_costs):.1f}" if row.case.streams else "–",
        ratio(row, reference),
        f"{max(trial.megabytes for trial in trials):.0f}",
        f"{middle('other_core', 100):.0f} %",
    ]


def ratio(row: Row, reference: Row | None) -> str:
    """Writes how many times the reference's cost this is, with the interval of the median."""
    if reference is None or reference is row or row.server == "stub alone":
        return "–"
    found = spread([cost / base for cost, base in zip(row.costs, reference.costs, strict=True)])
    note = f" at {found.confidence:.0%}" if found.is_wide else ""
    return f"{found.middle:.2f} ({found.low:.2f}–{found.high:.2f}{note})"
