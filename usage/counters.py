"""What allowances stand on: a counter for each dimension of a subject.  Pure; times are given, in seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from usage.windows import MINUTE, SlidingMinute, TokenRate

if TYPE_CHECKING:
    from usage.holding import Account
    from usage.resets import Calendar

# Refused requests have a window of their own, this many times the limit: Retry-After stays true for the limit itself.
REFUSALS = 10


class Moment:
    """Now: on the monotonic clock, since the epoch, and which day that is."""

    __slots__ = ("now", "today", "wall")

    def __init__(self, now: float, wall: float, today: Calendar) -> None:
        self.now = now
        self.wall = wall
        self.today = today


class Wanted(Protocol):
    """What a call takes of each counter, in tokens."""

    least: int  # below this a budget is of no use to it
    rated: int  # is taken from rates
    tokens: int  # is taken from budgets


class Counter:
    """One dimension of a subject's account; this one counts nothing."""

    __slots__ = ("account",)

    def __init__(self, account: Account) -> None:
        self.account = account

    def wait(self, limit: int, wanted: Wanted, moment: Moment) -> float:  # noqa: ARG002 -- for those that count
        """Returns in how many seconds there is room for a call, as far as that is known; 0.0 for now."""
        return 0.0

    def hold(self, limit: int, wanted: Wanted, moment: Moment) -> None:
        """Counts a call that begins."""

    def extend(self, limit: int, tokens: int, moment: Moment) -> None:
        """Counts that a running call takes so many tokens more."""

    def settle(self, limit: int, wanted: Wanted, tokens: int, moment: Moment) -> None:
        """Counts a call that has ended: what it cost, instead of what it wanted."""

    def room(self, limit: int, moment: Moment) -> tuple[int, float]:  # noqa: ARG002 -- likewise
        """Returns how much of a limit is left, and in how many seconds it is whole again."""
        return limit, 0.0

    def is_idle(self, moment: Moment) -> bool:  # noqa: ARG002 -- likewise
        """Tells whether it can be forgotten: it would count as if it were new."""
        return True


class Requests(Counter):
    """Requests a minute; refused ones are counted apart."""

    __slots__ = ("minute", "refusals")

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self.minute = SlidingMinute()
        self.refusals = SlidingMinute()

    def wait(self, limit: int, wanted: Wanted, moment: Moment) -> float:  # noqa: ARG002 -- each call is one
        """Returns when there is room for one more, be it refused or not."""
        wait = self.minute.wait(limit, moment.now)
        return max(wait, self.refusals.wait(limit * REFUSALS, moment.now)) if self.refusals.times else wait

    def hold(self, limit: int, wanted: Wanted, moment: Moment) -> None:  # noqa: ARG002 -- likewise
        """Counts one."""
        self.minute.take(moment.now)

    def refuse(self, limit: int, moment: Moment) -> None:
        """Counts a refused one, up to what counts at all."""
        if self.refusals.left(limit * REFUSALS, moment.now):
            self.refusals.take(moment.now)

    def room(self, limit: int, moment: Moment) -> tuple[int, float]:
        """Returns how many are left, and when the latest is a minute old."""
        left, times = self.minute.left(limit, moment.now), self.minute.times
        return left, (times[-1] + MINUTE - moment.now) if times else 0.0

    def is_idle(self, moment: Moment) -> bool:
        """Tells whether the last minute was quiet."""
        self.minute.forget(moment.now)
        self.refusals.forget(moment.now)
        return not self.minute.times and not self.refusals.times


class Rate(Counter):
    """Tokens a minute."""

    __slots__ = ("flow",)

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self.flow = TokenRate()

    def wait(self, limit: int, wanted: Wanted, moment: Moment) -> float:
        """Returns when so many tokens may flow."""
        return self.flow.wait(limit, wanted.rated, moment.now)

    def hold(self, limit: int, wanted: Wanted, moment: Moment) -> None:
        """Takes them."""
        self.flow.take(limit, wanted.rated, moment.now)

    def extend(self, limit: int, tokens: int, moment: Moment) -> None:
        """Takes more."""
        self.flow.take(limit, tokens, moment.now)

    def settle(self, limit: int, wanted: Wanted, tokens: int, moment: Moment) -> None:
        """Takes those that were more, or gives back."""
        self.flow.take(limit, tokens - wanted.rated, moment.now)

    def room(self, limit: int, moment: Moment) -> tuple[int, float]:
        """Returns how many may flow now, and when nothing is owed."""
        return self.flow.left(limit, moment.now), max(0.0, self.flow.due - moment.now)

    def is_idle(self, moment: Moment) -> bool:
        """Tells whether nothing is owed."""
        return self.flow.due <= moment.now


class Running(Counter):
    """Calls in flight."""

    __slots__ = ("calls",)

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self.calls = 0

    def wait(self, limit: int, wanted: Wanted, moment: Moment) -> float:  # noqa: ARG002 -- each call is one
        """Returns about when one that runs will have ended."""
        return 0.0 if self.calls < limit else self.account.pace.wait()

    def hold(self, limit: int, wanted: Wanted, moment: Moment) -> None:  # noqa: ARG002 -- likewise
        """Counts one in."""
        self.calls += 1

    def settle(self, limit: int, wanted: Wanted, tokens: int, moment: Moment) -> None:  # noqa: ARG002 -- likewise
        """Counts one out."""
        self.calls -= 1

    def room(self, limit: int, moment: Moment) -> tuple[int, float]:  # noqa: ARG002 -- likewise
        """Returns how many more may run."""
        return max(0, limit - self.calls), 0.0

    def is_idle(self, moment: Moment) -> bool:  # noqa: ARG002 -- likewise
        """Tells whether nothing runs."""
        return not self.calls


class Budget(Counter):
    """Tokens a day, a month or in all: what was spent in the present period, and what is promised to running calls."""

    __slots__ = ("dimension", "period", "promised", "spent", "today")

    def __init__(self, account: Account, dimension: str) -> None:
        super().__init__(account)
        self.dimension = dimension
        self.today: Calendar | None = None
        self.period = ""
        self.spent = 0
        self.promised = 0

    def turn(self, today: Calendar) -> None:
        """Begins anew where the period has changed; promises go on."""
        self.today = today
        period = today.periods[self.dimension]
        if period != self.period:
            self.period = period
            self.spent = 0

    def left(self, limit: int, moment: Moment) -> int:
        """Returns what may still be promised; negative where more was spent than planned."""
        if moment.today is not self.today:
            self.turn(moment.today)
        return limit - self.spent - self.promised

    def is_spent(self, limit: int, wanted: Wanted) -> bool:
        """Tells whether a call would find no room even if no other ran."""
        return self.spent + wanted.least > limit

    def resets(self, moment: Moment) -> float:
        """Returns when it begins anew; infinity for never."""
        return moment.today.ends[self.dimension] - moment.wall

    def wait(self, limit: int, wanted: Wanted, moment: Moment) -> float:
        """Returns when it begins anew, or about when a running call will have given something back."""
        left = self.left(limit, moment)
        if left >= wanted.least:
            return 0.0
        return self.resets(moment) if self.is_spent(limit, wanted) else self.account.pace.wait()

    def hold(self, limit: int, wanted: Wanted, moment: Moment) -> None:  # noqa: ARG002 -- it was asked before
        """Promises tokens."""
        self.promised += wanted.tokens

    def extend(self, limit: int, tokens: int, moment: Moment) -> None:  # noqa: ARG002 -- likewise
        """Promises more."""
        self.promised += tokens

    def settle(self, limit: int, wanted: Wanted, tokens: int, moment: Moment) -> None:  # noqa: ARG002 -- likewise
        """Spends some of them, in the period in which the call ends."""
        if moment.today is not self.today:
            self.turn(moment.today)
        self.promised -= wanted.tokens
        self.spent += tokens

    def room(self, limit: int, moment: Moment) -> tuple[int, float]:
        """Returns what is neither spent nor promised, and when it begins anew."""
        return max(0, self.left(limit, moment)), self.resets(moment)

    def is_idle(self, moment: Moment) -> bool:
        """Tells whether nothing is promised, and nothing spent in the present period."""
        self.turn(moment.today)
        return not self.promised and not self.spent
