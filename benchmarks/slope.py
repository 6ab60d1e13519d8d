"""Does a series of values rise? Its slope, with the noise that it has to be seen above."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, median, stdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCKS = 20
T_95 = 2.101  # Student's t for 18 degrees of freedom, which the steps between 20 blocks leave


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
    """Returns the mean of the steps between the medians of twenty blocks, and how far they scatter.

    Memory that was touched once stays: its values are no independent witnesses, but its steps are.  Raises ValueError
    for fewer values than blocks.
    """
    size = len(values) // BLOCKS
    if not size:
        raise ValueError(f"a slope needs at least {BLOCKS} values")
    starts = [len(values) - size * (BLOCKS - block) for block in range(BLOCKS)]
    span = mean(later - sooner for sooner, later in pairwise(mean(times[start : start + size]) for start in starts))
    levels = [median(values[start : start + size]) for start in starts]
    steps = [(later - sooner) / span for sooner, later in pairwise(levels)]
    return Slope(mean(steps), T_95 * stdev(steps) / math.sqrt(len(steps)))
