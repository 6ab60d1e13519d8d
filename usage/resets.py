"""When budgets begin anew: the periods (UTC), what they are called and where they end.  Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from usage.dimensions import DAY, MONTH, TOTAL

if TYPE_CHECKING:
    from collections.abc import Mapping

DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Calendar:
    """A UTC day as budgets see it; times are in epoch seconds.

    `periods` has the name of each budget's present period (`2026-11-23`, `2026-11`, "" for all time), `ends` when the
    next one begins, infinity for never.
    """

    begins: float
    periods: Mapping[str, str]
    ends: Mapping[str, float]


@lru_cache(maxsize=4)
def calendar(days: int) -> Calendar:
    """Returns the calendar of the day that is so many days after the epoch."""
    today = datetime.fromtimestamp(days * DAY_SECONDS, UTC)
    tomorrow = today + timedelta(days=1)
    next_month = (today.replace(day=1) + timedelta(days=32)).replace(day=1)
    return Calendar(
        today.timestamp(),
        {DAY: f"{today:%Y-%m-%d}", MONTH: f"{today:%Y-%m}", TOTAL: ""},
        {DAY: tomorrow.timestamp(), MONTH: next_month.timestamp(), TOTAL: math.inf},
    )


def calendar_of(now: float) -> Calendar:
    """Returns the calendar of a time's day."""
    return calendar(int(now // DAY_SECONDS))
