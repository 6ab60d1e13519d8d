"""How much of the journal waits for the database."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from usage.segments import count_lines, size


class Depth(NamedTuple):
    """What is in the journal and not yet in the database."""

    bytes: int
    lines: int


class Waiting:
    """Measures the lines that wait, reading each byte of the files once at most."""

    def __init__(self) -> None:
        # For each segment: the applied offset, the offset up to which lines are counted, and their number.
        self._counted: dict[Path, tuple[int, int, int]] = {}

    def measure(self, places: dict[Path, int]) -> Depth:
        """Returns the depth of segments with these applied offsets; those not given are forgotten."""
        found = {path: self._count(path, offset) for path, offset in places.items()}
        self._counted = found
        return Depth(
            sum(counted - applied for applied, counted, _ in found.values()),
            sum(lines for _, _, lines in found.values()),
        )

    def _count(self, path: Path, applied: int) -> tuple[int, int, int]:
        before, counted, lines = self._counted.get(path, (-1, 0, 0))
        if before != applied:
            counted, lines = applied, 0
        if size(path) > counted:
            more, counted = count_lines(path, counted)
            lines += more
        return applied, counted, lines
