"""Who stands behind limits: accounts with their counters, and the counters of all that apply to one key.  Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage.counters import Budget, Counter, Rate, Requests, Running
from usage.dimensions import BUDGETS, CONCURRENCY, OUTPUT, REQUESTS, TOKENS
from usage.portions import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from usage.counters import Moment
    from usage.dimensions import Allowance

# What else can be limited, now or in another version, needs no counter.
KINDS: dict[str, type[Counter]] = {REQUESTS: Requests, TOKENS: Rate, CONCURRENCY: Running}


class Account:
    """All counters of a subject, each made when it is first asked for; calls hold it while they run."""

    __slots__ = ("counters", "holds", "pace")

    def __init__(self) -> None:
        self.counters: dict[str, Counter] = {}
        self.pace = Pace()
        self.holds = 0

    def counter(self, dimension: str) -> Counter:
        """Returns the counter of a dimension."""
        counter = self.counters.get(dimension)
        if counter is None:
            counter = Budget(self, dimension) if dimension in BUDGETS else KINDS.get(dimension, Counter)(self)
            self.counters[dimension] = counter
        return counter

    def is_idle(self, moment: Moment) -> bool:
        """Tells whether it can be forgotten."""
        return not self.holds and all(counter.is_idle(moment) for counter in self.counters.values())


class Holding:
    """The allowances that a call has to fit, each with its counter, and what is looked at on its own."""

    __slots__ = ("accounts", "budgets", "ceiling", "counted")

    def __init__(self, allowances: Iterable[Allowance], account: Callable[[str], Account]) -> None:
        self.counted = [(one.amount, account(one.subject).counter(one.dimension), one) for one in allowances]
        self.accounts = list({id(counter.account): counter.account for _, counter, _ in self.counted}.values())
        self.budgets = [(limit, counter) for limit, counter, _ in self.counted if isinstance(counter, Budget)]
        ceilings = (limit for limit, _, one in self.counted if one.dimension == OUTPUT)
        self.ceiling = min(ceilings, default=None)  # of one answer, in tokens
