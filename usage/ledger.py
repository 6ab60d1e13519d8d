"""What may still be spent: reserved before a call is sent on, settled after it.

A request must fit every allowance that applies to it (its key's, its owner's, its team's); it is taken from all of them
or from none.  Nothing here waits, so on one event loop no other request comes between looking and taking.

A call reserves its prompt's estimate and a first portion of output, and more in steps as the meter counts.  An answer
that comes in one piece can't be metered on its way, so it reserves all that it may say.  A budget is thus overspent by
the errors of the prompts' estimates at most; images, and tokens that a model does not show one by one, count when
Ollama says so, at the end.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from usage.counters import Budget, Counter, Moment, Output, Rate, Requests, Running
from usage.dimensions import BUDGETS, CONCURRENCY, OUTPUT, REQUESTS, TOKENS
from usage.portions import Pace, portion
from usage.resets import calendar_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class Allowance(NamedTuple):
    """How much of one dimension one subject may have; a subject is `key:…`, `owner:…` or `team:…`."""

    subject: str
    dimension: str
    amount: int


class Exhausted(Exception):
    """An allowance has no room: which, for how many seconds, and whether it is a budget that is spent.

    A budget that is not spent is promised to calls that run.
    """

    def __init__(self, allowance: Allowance, wait: float, *, spent: bool = False) -> None:
        super().__init__(allowance.dimension)
        self.allowance = allowance
        self.wait = wait
        self.spent = spent


class Unavailable(Exception):
    """The ledger can't be asked: several processes share it, and it does not answer."""


class Clock(NamedTuple):
    """Where the time comes from; tests bring their own."""

    monotonic: Callable[[], float] = time.monotonic
    time: Callable[[], float] = time.time

    def moment(self) -> Moment:
        """Returns what it says now."""
        wall = self.time()
        return Moment(self.monotonic(), wall, calendar_of(wall))


KINDS: dict[str, type[Counter]] = {REQUESTS: Requests, TOKENS: Rate, CONCURRENCY: Running, OUTPUT: Output}


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
            counter = Budget(self, dimension) if dimension in BUDGETS else KINDS[dimension](self)
            self.counters[dimension] = counter
        return counter

    def is_idle(self, moment: Moment) -> bool:
        """Tells whether it can be forgotten."""
        return not self.holds and all(counter.is_idle(moment) for counter in self.counters.values())


class Ledger:
    """All accounts of this process."""

    def __init__(self, step: int, clock: Clock | None = None) -> None:
        self.step = step
        self.clock = clock or Clock()
        self.accounts: dict[str, Account] = {}
        self._unseen: list[str] = []

    def account(self, subject: str) -> Account:
        """Returns a subject's account, a new one where it has none."""
        account = self.accounts.get(subject)
        if account is None:
            account = self.accounts[subject] = Account()
        return account

    def tidy(self, most: int) -> None:
        """Looks at so many accounts, each in its turn, and drops those that hold nothing any more."""
        if not self._unseen:
            self._unseen = list(self.accounts)
        moment = self.clock.moment()
        for subject in self._unseen[-most:]:
            account = self.accounts.get(subject)
            if account is not None and account.is_idle(moment):
                del self.accounts[subject]
        del self._unseen[-most:]

    def reserve(
        self, allowances: Iterable[Allowance], prompt: int, cap: int | None, *, metered: bool = True
    ) -> Reservation:
        """Takes what one call needs, or raises Exhausted and takes nothing.

        `prompt` is its estimated tokens, `cap` the most output that it asks for: None for any, 0 for none.  What is
        not `metered` on its way reserves its cap whole.
        """
        moment = self.clock.moment()
        found = self.found(allowances)
        left: int | None = None  # of all budgets
        for one, counter in found:
            if isinstance(counter, Budget):
                room = counter.left(one.amount, moment) - prompt
                left = room if left is None else min(left, room)
            elif isinstance(counter, Output):
                cap = one.amount if cap is None else min(cap, one.amount)
        least = prompt + (cap != 0)
        output, cap = portion(cap, left, self.step, metered=metered)
        wanted = Reservation(self, found, prompt, output, cap, least, moment.now)
        for one, counter in found:
            wait = counter.wait(one.amount, wanted, moment)
            if wait > 0:
                self.refuse(found, moment)
                raise Exhausted(one, wait, spent=isinstance(counter, Budget) and counter.is_spent(one.amount, wanted))
        for one, counter in found:
            counter.account.holds += 1
            counter.hold(one.amount, wanted, moment)
        return wanted

    def found(self, held: Iterable[Allowance]) -> list[tuple[Allowance, Counter]]:
        """Returns each allowance with the counter that it stands on."""
        found: list[tuple[Allowance, Counter]] = []
        accounts = self.accounts
        for one in held:
            account = accounts.get(one.subject) or self.account(one.subject)
            found.append((one, account.counters.get(one.dimension) or account.counter(one.dimension)))
        return found

    def refuse(self, found: Iterable[tuple[Allowance, Counter]], moment: Moment) -> None:
        """Counts a refusal where requests are counted."""
        for one, counter in found:
            if isinstance(counter, Requests):
                counter.refuse(one.amount, moment)

    def budgets(self, held: Iterable[Allowance]) -> list[tuple[Allowance, Budget]]:
        """Returns those allowances that are budgets, with their counters."""
        return [(one, counter) for one, counter in self.found(held) if isinstance(counter, Budget)]

    def restore(self, spent: Mapping[tuple[str, str], int]) -> None:
        """Takes over what was spent before this process began, by subject and budget."""
        moment = self.clock.moment()
        for (subject, dimension), tokens in spent.items():
            for _, budget in self.budgets([Allowance(subject, dimension, 0)]):
                budget.turn(moment)
                budget.spent += tokens

    def rooms(self, allowances: Iterable[Allowance]) -> list[tuple[Allowance, int, float]]:
        """Returns how much of each allowance is left, and in how many seconds it is whole again."""
        moment = self.clock.moment()
        return [(one, *counter.room(one.amount, moment)) for one, counter in self.found(allowances)]

    def room(self, one: Allowance) -> tuple[int, float]:
        """Returns the same of one allowance."""
        ((_, left, whole_in),) = self.rooms((one,))
        return left, whole_in


class Reservation:
    """What one call holds of its allowances until it is settled."""

    __slots__ = ("cap", "found", "least", "ledger", "output", "prompt", "rated", "settled", "taken_at")

    def __init__(  # noqa: PLR0913 -- made in one place
        self,
        ledger: Ledger,
        found: list[tuple[Allowance, Counter]],
        prompt: int,
        output: int,
        cap: int | None,
        least: int,
        now: float,
    ) -> None:
        self.ledger = ledger
        self.found = found
        self.prompt = prompt
        self.output = output
        self.cap = cap
        self.least = least
        self.taken_at = now
        self.settled = False
        # A rate is owed for what was said; it need not be kept for all that an answer in one piece may say.
        self.rated = prompt + min(output, ledger.step)

    @property
    def tokens(self) -> int:
        """The tokens that are reserved now."""
        return self.prompt + self.output

    def extend(self) -> bool:
        """Reserves another step of output; returns whether there was anything left to reserve."""
        step, moment = self.ledger.step, self.ledger.clock.moment()
        more = step
        for one, counter in self.found:
            if isinstance(counter, Budget):
                more = min(more, counter.left(one.amount, moment))
            elif isinstance(counter, Output):
                # Ollama ends at its cap by itself; a step of grace covers frames that are no tokens.
                more = min(more, one.amount + step - self.output)
        if more <= 0:
            return False
        for one, counter in self.found:
            counter.extend(one.amount, more, moment)
        self.output += more
        self.rated += more
        return True

    def settle(self, tokens: int) -> None:
        """Charges what the call really cost and gives the rest back, once."""
        if self.settled:
            return
        self.settled = True
        moment = self.ledger.clock.moment()
        for one, counter in self.found:
            counter.account.holds -= 1
            counter.account.pace.note(moment.now - self.taken_at)
            counter.settle(one.amount, self, tokens, moment)
