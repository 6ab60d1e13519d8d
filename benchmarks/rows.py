"""What the trials of one server in one case showed, pair by pair."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.cases import Case
    from benchmarks.trial import Trial

STUB = "stub alone"


@dataclass(slots=True)
class Row:
    """All trials of one server in one case: for each pair, the trials by number of chunks; and how others failed."""

    case: Case
    server: str
    pairs: list[dict[int, Trial]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    given_up: bool = False  # it failed whenever a pair was tried

    @property
    def trials(self) -> list[Trial]:
        """The trials that the row shows: those with the most chunks."""
        return [pair[max(pair)] for pair in self.pairs]

    def values(self, name: str, factor: float = 1) -> list[float]:
        """One of a trial's figures in each pair."""
        return [getattr(trial, name) * factor for trial in self.trials]

    @property
    def has_chunk_costs(self) -> bool:
        """Tells whether a chunk's own cost can be told: streams of two lengths were measured."""
        return self.case.streams and len(self.case.requests) > 1

    @property
    def chunk_costs(self) -> list[float]:
        """The CPU time of a streamed chunk in microseconds, in each pair: the slope from few chunks to many."""
        few, many = min(self.case.requests), max(self.case.requests)
        return [(pair[many].cpu - pair[few].cpu) / (many - few) for pair in self.pairs]

    @property
    def costs(self) -> list[float]:
        """What is compared, in each pair: the cost of a chunk where answers are streams, else that of a request."""
        return self.chunk_costs if self.has_chunk_costs else self.values("cpu")


def find(rows: Sequence[Row], case: Case, server: str) -> Row | None:
    """Returns the row of a server in a case, if it was measured."""
    return next((row for row in rows if row.case is case and row.server == server), None)


def ratios(row: Row, reference: Row) -> list[float]:
    """How many times the reference's cost each pair shows."""
    return [cost / base for cost, base in zip(row.costs, reference.costs, strict=True)]


def added(row: Row, stub: Row, name: str) -> list[float]:
    """How many milliseconds each pair adds to what the stub alone takes."""
    return [1e3 * (mine - bare) for mine, bare in zip(row.values(name), stub.values(name), strict=True)]
