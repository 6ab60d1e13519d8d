"""Does a series of values rise? Its slope, with the noise that it has to be seen above."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import mean, median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCKS = 20
T_95 = 2.101  # Student's t for 18 degrees of freedom, which 20 blocks leave


@dataclass(frozen=True, slots=True)
class Slope:
    """A rise for each unit of time, and by how much it may be off with 95 % confidence."""

    rise: float
    noise: float

    @property
    def is_flat(self) -> bool:
        """Tells whether it can't be told from none."""
        return abs(self.rise) <= self.noise


def slope(times: Sequence[float], values: Sequence[float]) -> Slope:
    """Fits a line by least squares to the medians of twenty blocks, since neighbours are no independent witnesses.

    Raises ValueError for fewer values than blocks.
    """
    size = len(values) // BLOCKS
    if not size:
        raise ValueError(f"a slope needs at least {BLOCKS} values")
    starts = [len(values) - size * (BLOCKS - block) for block in range(BLOCKS)]
    xs = [mean(times[start : start + size]) for start in starts]
    ys = [median(values[start : start + size]) for start in starts]
    middle_x, middle_y = mean(xs), mean(ys)
    spread_x = sum((x - middle_x) ** 2 for x in xs)
    rise = sum((x - middle_x) * (y - middle_y) for x, y in zip(xs, ys, strict=True)) / spread_x
    errors = sum((y - middle_y - rise * (x - middle_x)) ** 2 for x, y in zip(xs, ys, strict=True))
    return Slope(rise, T_95 * math.sqrt(errors / (BLOCKS - 2) / spread_x))
