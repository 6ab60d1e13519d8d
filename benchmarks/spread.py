"""Medians and how far they can be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with the interval that holds the true one with probability `confidence` (0 to 1)."""

    middle: float
    low: float
    high: float
    confidence: float

    @property
    def is_wide(self) -> bool:
        """Tells whether there were too few values for the wanted confidence."""
        return self.confidence < CONFIDENCE


def spread(values: Sequence[float]) -> Spread:
    """Returns the median and its interval by order statistics, which assume nothing about the distribution.

    The interval from the k-th smallest to the k-th largest of n values misses the true median with the probability
    that fewer than k of n coin tosses show heads, twice. Raises ValueError when there is no value.
    """
    if not values:
        raise ValueError("a spread needs at least one value")
    ordered = sorted(values)
    count = len(ordered)
    rank = 1
    while rank < (count + 1) // 2 and _covered(rank + 1, count) >= CONFIDENCE:
        rank += 1
    return Spread(median(ordered), ordered[rank - 1], ordered[count - rank], _covered(rank, count))


def _covered(rank: int, count: int) -> float:
    missed: float = sum(math.comb(count, heads) for heads in range(rank)) / 2**count
    return max(0.0, 1 - 2 * missed)


def percentile(ordered: Sequence[float], share: float) -> float:
    """Returns the value below which a share (0 to 1) of the sorted values lie."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
