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
from typing import TYPE_CHECKING

from usage.counters import Budget, Moment, Requests
from usage.dimensions import DAY, Allowance
from usage.holding import Account, Holding
from usage.portions import portion
from usage.resets import calendar_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

# So many holdings are remembered; then all are made anew as they are asked for.
MOST_HOLDINGS = 10_000


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


class Clock:
    """Where the time comes from; tests bring their own."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, time: Callable[[], float] = time.time) -> None:
        self.monotonic = monotonic
        self.time = time
        self.today = calendar_of(time())

    def moment(self) -> Moment:
        """Returns what it says now."""
        wall, today = self.time(), self.today
        if not today.begins <= wall < today.ends[DAY]:
            today = self.today = calendar_of(wall)
        return Moment(self.monotonic(), wall, today)


class Ledger:
    """All accounts of this process."""

    def __init__(self, step: int, clock: Clock | None = None) -> None:
        self.step = step
        self.clock = clock or Clock()
        self.accounts: dict[str, Account] = {}
        self._holdings: dict[tuple[Allowance, ...], Holding] = {}
        self._unseen: list[str] = []

    def account(self, subject: str) -> Account:
        """Returns a subject's account, a new one where it has none."""
        account = self.accounts.get(subject)
        if account is None:
            account = self.accounts[subject] = Account()
        return account

    def holding(self, allowances: Iterable[Allowance]) -> Holding:
        """Returns allowances with the counters that they stand on."""
        held = tuple(allowances)
        holding = self._holdings.get(held)
        if holding is None:
            if len(self._holdings) >= MOST_HOLDINGS:
                self._holdings.clear()
            holding = self._holdings[held] = Holding(held, self.account)
        return holding

    def tidy(self, most: int) -> None:
        """Looks at so many accounts, each in its turn, and drops those that hold nothing any more."""
        if not self._unseen:
            self._unseen = list(self.accounts)
        moment, dropped = self.clock.moment(), False
        for subject in self._unseen[-most:]:
            account = self.accounts.get(subject)
            if account is not None and account.is_idle(moment):
                del self.accounts[subject]
                dropped = True
        del self._unseen[-most:]
        if dropped:
            self._holdings.clear()  # some stand on what is gone

    def reserve(
        self, allowances: Iterable[Allowance], prompt: int, cap: int | None, *, metered: bool = True
    ) -> Reservation:
        """Takes what one call needs, or raises Exhausted and takes nothing.

        `prompt` is its estimated tokens, `cap` the most output that it asks for: None for any, 0 for none.  What is
        not `metered` on its way reserves its cap whole.
        """
        moment = self.clock.moment()
        holding = self.holding(allowances)
        if holding.ceiling is not None:
            cap = holding.ceiling if cap is None else min(cap, holding.ceiling)
        least = prompt + (cap != 0)
        lefts = [budget.left(limit, moment) for limit, budget in holding.budgets]
        output, cap = portion(cap, min(lefts) - prompt if lefts else None, self.step, metered=metered)
        reservation = Reservation(self, holding, prompt, output, cap, least, moment.now)
        for limit, counter, one in holding.counted:
            wait = counter.wait(limit, reservation, moment)
            if wait > 0:
                self.refuse(holding, moment)
                spent = isinstance(counter, Budget) and counter.is_spent(limit, reservation)
                raise Exhausted(one, wait, spent=spent)
        for account in holding.accounts:
            account.holds += 1
        for limit, counter, _ in holding.counted:
            counter.hold(limit, reservation, moment)
        return reservation

    def refuse(self, holding: Holding, moment: Moment) -> None:
        """Counts a refusal where requests are counted."""
        for limit, counter, _ in holding.counted:
            if isinstance(counter, Requests):
                counter.refuse(limit, moment)

    def restore(self, spent: Mapping[tuple[str, str], int]) -> None:
        """Takes over what was spent before this process began, by subject and budget."""
        moment = self.clock.moment()
        for (subject, dimension), tokens in spent.items():
            counter = self.account(subject).counter(dimension)
            if isinstance(counter, Budget):
                counter.turn(moment.today)
                counter.spent += tokens

    def raise_spent(self, spent: Mapping[tuple[str, str], int]) -> None:
        """Has budgets count at least what was spent, by subject and budget."""
        moment = self.clock.moment()
        for (subject, dimension), tokens in spent.items():
            counter = self.account(subject).counter(dimension)
            if isinstance(counter, Budget):
                counter.turn(moment.today)
                counter.spent = max(counter.spent, tokens)

    def known(self, allowances: tuple[Allowance, ...]) -> tuple[Allowance, ...]:
        """Returns the allowances of which the room is known: all of them."""
        return allowances

    def rooms(self, allowances: Iterable[Allowance]) -> list[tuple[int, float]]:
        """Returns how much of each allowance is left, and in how many seconds it is whole again."""
        moment = self.clock.moment()
        return [counter.room(limit, moment) for limit, counter, _ in self.holding(allowances).counted]

    def room(self, one: Allowance) -> tuple[int, float]:
        """Returns the same of one allowance."""
        return self.rooms((one,))[0]


class Reservation:
    """What one call takes of its allowances, until it is settled."""

    __slots__ = ("cap", "holding", "least", "ledger", "output", "rated", "settled", "taken_at", "tokens")

    def __init__(  # noqa: PLR0913 -- made in one place
        self, ledger: Ledger, holding: Holding, prompt: int, output: int, cap: int | None, least: int, now: float
    ) -> None:
        self.ledger = ledger
        self.holding = holding
        self.output = output
        self.tokens = prompt + output  # all that is reserved now
        self.cap = cap
        self.least = least
        self.taken_at = now
        self.settled = False
        # A rate is owed for what was said; it need not be kept for all that an answer in one piece may say.
        self.rated = prompt + min(output, ledger.step)

    def extend(self) -> bool:
        """Reserves another step of output; returns whether there was anything left to reserve."""
        holding, more, moment = self.holding, self.ledger.step, self.ledger.clock.moment()
        if holding.ceiling is not None:
            # Ollama ends at its cap by itself; a step of grace covers frames that are no tokens.
            more = min(more, holding.ceiling + more - self.output)
        for limit, budget in holding.budgets:
            more = min(more, budget.left(limit, moment))
        if more <= 0:
            return False
        for limit, counter, _ in holding.counted:
            counter.extend(limit, more, moment)
        self.output += more
        self.tokens += more
        self.rated += more
        return True

    def settle(self, tokens: int) -> None:
        """Charges what the call really cost and gives the rest back, once."""
        if self.settled:
            return
        self.settled = True
        moment = self.ledger.clock.moment()
        for account in self.holding.accounts:
            account.holds -= 1
            account.pace.note(moment.now - self.taken_at)
        for limit, counter, _ in self.holding.counted:
            counter.settle(limit, self, tokens, moment)
