"""How much output a call reserves at first, and how long one waits for another: pure, times in seconds."""

from __future__ import annotations

from typing import NamedTuple

# An answer in one piece that has no cap of its own may be this share of what is left of a budget, and reserves it.
SHARE = 4
# Who waits for a call to end is told how long calls take, between these two.  SDKs come back two or three times, so a
# fixed short wait would fail them all.
SHORTEST_WAIT, LONGEST_WAIT = 1.0, 60.0
FIRST_WAIT = 5.0


class Portion(NamedTuple):
    """Tokens of output that are reserved at once, and the most that the answer may have; None for any."""

    output: int
    cap: int | None


def portion(cap: int | None, left: int | None, step: int, *, metered: bool) -> Portion:
    """Returns what to reserve of the output that budgets have `left`, None without budgets, for an asked cap."""
    if left is None:
        return Portion(step if cap is None else min(cap, step), cap)
    left = max(0, left)
    if metered:
        cap = left if cap is None else min(cap, left)
        return Portion(min(cap, step), cap)
    cap = min(left, max(step, left // SHARE) if cap is None else cap)
    return Portion(cap, cap)


class Pace:
    """About how long the latest calls took."""

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = FIRST_WAIT

    def note(self, took: float) -> None:
        """Takes in how long one took."""
        self.seconds += (took - self.seconds) / 4

    def wait(self) -> float:
        """Returns in how many seconds one that runs may have ended."""
        return min(max(SHORTEST_WAIT, self.seconds), LONGEST_WAIT)
