"""The tables: what a request and a chunk cost, and what the way adds; figures are medians with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.rows import STUB, added, find, ratios
from benchmarks.spread import spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.rows import Row

REFERENCES = ("floor", "gateway")
NOTHING = "–"
MILLISECONDS = 1e3
COSTS = (
    "case",
    "server",
    "requests/s",
    "first byte p50 ms",
    "p99 ms",
    "CPU µs a request",
    "CPU µs a chunk",
    *(f"CPU ÷ {name}" for name in REFERENCES),
    "memory MB",
    "load core busy",
)
WAYS = ("case", "server", "first byte p50 +ms", "p99 +ms", "whole answer p50 +ms", "p99 +ms")


def markdown(headings: Sequence[str], lines: Sequence[Sequence[str]], words: int = 2) -> str:
    """Writes a table whose first columns hold words and whose others hold figures."""
    rows = [headings, *lines]
    texts = ["| " + " | ".join(row) + " |" for row in rows]
    texts.insert(1, "|" + "---|" * words + "---:|" * (len(headings) - words))
    return "\n".join(texts)


def costs(rows: Sequence[Row]) -> str:
    """Writes what each server costs in each case."""
    return markdown(COSTS, [cost_cells(row, rows) for row in rows])


def cost_cells(row: Row, rows: Sequence[Row]) -> list[str]:
    """Writes one row's cells; a ratio is the median of the pairs' ratios."""
    return [
        row.case.name,
        row.server,
        figure(row.values("rate"), 0),
        figure(row.values("first_byte_p50", MILLISECONDS), 2),
        figure(row.values("first_byte_p99", MILLISECONDS), 2),
        figure(row.values("cpu"), 0),
        figure(row.chunk_costs, 1) if row.has_chunk_costs else NOTHING,
        *(ratio(row, find(rows, row.case, name)) for name in REFERENCES),
        f"{max(row.values('megabytes')):.0f}",
        figure(row.values("other_core", 100), 0, " %"),
    ]


def ways(rows: Sequence[Row]) -> str:
    """Writes what each server adds to a request that has it for itself; nothing where no case has one connection."""
    lines = []
    for row in rows:
        stub = find(rows, row.case, STUB)
        if not (row.case.alone and stub) or row is stub:
            continue
        names = ("first_byte_p50", "first_byte_p99", "whole_p50", "whole_p99")
        lines.append([row.case.name, row.server, *(figure(added(row, stub, name), 2) for name in names)])
    return markdown(WAYS, lines) if lines else ""


def ratio(row: Row, reference: Row | None) -> str:
    """Writes how many times the reference's cost this is."""
    if reference is None or reference is row or row.server == STUB:
        return NOTHING
    return figure(ratios(row, reference), 2)


def figure(values: Sequence[float], digits: int, unit: str = "") -> str:
    """Writes a median and the interval that holds the true one."""
    found = spread(values)
    note = f" at {found.confidence:.0%}" if found.is_wide else ""
    low, high = (f"{value:,.{digits}f}" for value in (found.low, found.high))
    return f"{found.middle:,.{digits}f}{unit} ({low}–{high}{note})"
