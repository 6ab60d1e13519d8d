"""The arithmetic of limits: what fits now, and how long until something does.  Pure; times are given, in seconds."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from usage.portions import Pace

MINUTE = 60.0
DAY_SECONDS = 86_400
# A tokens-a-minute limit lets a sixth of its amount through at once, and the rest evenly: in any minute no more than
# seven sixths of it are admitted.
BURST_SECONDS = 10.0
# Refused requests have a window of their own, this many times the limit: Retry-After stays true for the limit itself.
REFUSALS = 10


class SlidingMinute:
    """Counts events so that in any sixty seconds there are never more than allowed."""

    __slots__ = ("times",)

    def __init__(self) -> None:
        self.times: deque[float] = deque()

    def wait(self, limit: int, now: float) -> float:
        """Returns in how many seconds one more fits; 0.0 for now."""
        self.forget(now)
        over = len(self.times) - limit
        return self.times[over] + MINUTE - now if over >= 0 and limit > 0 else (0.0 if limit > 0 else MINUTE)

    def take(self, now: float) -> None:
        """Counts one."""
        self.times.append(now)

    def give_back(self, when: float) -> None:
        """Takes back the one that was counted at that time."""
        try:
            self.times.remove(when)
        except ValueError:
            return

    def left(self, limit: int, now: float) -> int:
        """Returns how many more fit now."""
        self.forget(now)
        return max(0, limit - len(self.times))

    def forget(self, now: float) -> None:
        """Drops what is older than a minute."""
        times, oldest = self.times, now - MINUTE
        while times and times[0] <= oldest:
            times.popleft()


class TokenRate:
    """Lets tokens through at an even rate after a burst (the generic cell rate algorithm).

    `due` is when all that was taken so far would have flowed at that rate.
    """

    __slots__ = ("due",)

    def __init__(self) -> None:
        self.due = 0.0

    def wait(self, limit: int, tokens: int, now: float) -> float:
        """Returns in how many seconds `tokens` fit; more than a burst fit once nothing is owed."""
        if limit <= 0:
            return MINUTE
        room = max(0.0, BURST_SECONDS - tokens * MINUTE / limit)
        return max(0.0, self.due - room - now)

    def take(self, limit: int, tokens: int, now: float) -> None:
        """Counts tokens; a negative number gives back some that were taken before."""
        if limit > 0:
            self.due = (max(self.due, now) if tokens > 0 else self.due) + tokens * MINUTE / limit

    def left(self, limit: int, now: float) -> int:
        """Returns how many tokens fit now."""
        return max(0, int((now + BURST_SECONDS - max(self.due, now)) * limit / MINUTE))


class Budget:
    """What was spent of an amount in one period, and what is promised to calls that run."""

    __slots__ = ("period", "promised", "spent")

    def __init__(self) -> None:
        self.period = ""
        self.spent = 0
        self.promised = 0

    def turn(self, period: str) -> None:
        """Begins anew where the period has changed; promises go on."""
        if period != self.period:
            self.period = period
            self.spent = 0

    def left(self, limit: int) -> int:
        """Returns what may still be promised; negative where more was spent than planned."""
        return limit - self.spent - self.promised


@dataclass(slots=True)
class Account:
    """The counters of one subject; its budgets by dimension."""

    requests: SlidingMinute = field(default_factory=SlidingMinute)
    refusals: SlidingMinute = field(default_factory=SlidingMinute)
    tokens: TokenRate = field(default_factory=TokenRate)
    running: int = 0
    pace: Pace = field(default_factory=Pace)
    budgets: defaultdict[str, Budget] = field(default_factory=lambda: defaultdict(Budget))

    def wait(self, dimension: str, limit: int, tokens: int, now: float) -> float:
        """Returns in how many seconds a limit that is no budget has room for a call of so many tokens; 0.0 for now."""
        match dimension:
            case "requests_per_minute":
                return max(self.requests.wait(limit, now), self.refusals.wait(limit * REFUSALS, now))
            case "tokens_per_minute":
                return self.tokens.wait(limit, tokens, now)
            case "concurrency":
                return 0.0 if self.running < limit else self.pace.wait()
        return 0.0

    def room(self, dimension: str, limit: int, now: float) -> tuple[int, float]:
        """Returns how much of a limit that is no budget is left, and in how many seconds it is whole again."""
        match dimension:
            case "requests_per_minute":
                left, times = self.requests.left(limit, now), self.requests.times
                return left, (times[-1] + MINUTE - now) if times else 0.0
            case "tokens_per_minute":
                return self.tokens.left(limit, now), max(0.0, self.tokens.due - now)
            case "concurrency":
                return max(0, limit - self.running), 0.0
        return limit, 0.0

    def take(self, dimension: str, limit: int, tokens: int, now: float) -> None:
        """Counts a call of so many tokens in a limit that is no budget."""
        match dimension:
            case "requests_per_minute":
                self.requests.take(now)
            case "tokens_per_minute":
                self.tokens.take(limit, tokens, now)
            case "concurrency":
                self.running += 1

    def is_idle(self, now: float, wall: float) -> bool:
        """Tells whether nothing runs, nothing of the last minute counts any more, and no budget is touched."""
        self.requests.forget(now)
        self.refusals.forget(now)
        if self.running or self.requests.times or self.refusals.times or self.tokens.due > now:
            return False
        return not any(
            budget.promised or (budget.spent and budget.period == period(dimension, wall))
            for dimension, budget in self.budgets.items()
        )


class Calendar(NamedTuple):
    """A UTC day as `2026-11-23`, its month as `2026-11`, and when the next of each begins, in epoch seconds."""

    day: str
    month: str
    tomorrow: float
    next_month: float


@lru_cache(maxsize=4)
def calendar(days: int) -> Calendar:
    """Returns the calendar of the day that is so many days after the epoch; a call asks for it a dozen times."""
    today = datetime.fromtimestamp(days * DAY_SECONDS, UTC)
    next_month = (today.replace(day=1) + timedelta(days=32)).replace(day=1)
    return Calendar(
        f"{today:%Y-%m-%d}", f"{today:%Y-%m}", (today + timedelta(days=1)).timestamp(), next_month.timestamp()
    )


def calendar_of(now: float) -> Calendar:
    """Returns the calendar of a time's day."""
    return calendar(int(now // DAY_SECONDS))


def period(budget: str, now: float) -> str:
    """Returns the present period of a budget, `tokens_per_day` or the like; "" for one of all time."""
    if budget == "tokens_per_day":
        return calendar_of(now).day
    return calendar_of(now).month if budget == "tokens_per_month" else ""


def resets(budget: str, now: float) -> float:
    """Returns in how many seconds a budget, `tokens_per_day` or the like, begins anew; infinity for never."""
    match budget:
        case "tokens_per_day":
            return calendar_of(now).tomorrow - now
        case "tokens_per_month":
            return calendar_of(now).next_month - now
    return float("inf")
