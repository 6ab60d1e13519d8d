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

from usage.portions import portion
from usage.windows import REFUSALS, Account, Budget, period, resets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

# The dimensions of allowances.
REQUESTS, TOKENS, CONCURRENCY = "requests_per_minute", "tokens_per_minute", "concurrency"
DAY, MONTH, TOTAL = "tokens_per_day", "tokens_per_month", "tokens_total"
OUTPUT = "output_tokens"
DIMENSIONS = (REQUESTS, TOKENS, CONCURRENCY, DAY, MONTH, TOTAL, OUTPUT)
BUDGETS = (DAY, MONTH, TOTAL)


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


# What an allowance stands on.
Found = tuple[Allowance, Account, Budget | None]


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
        now, wall = self.clock.monotonic(), self.clock.time()
        for subject in self._unseen[-most:]:
            account = self.accounts.get(subject)
            if account is not None and account.is_idle(now, wall):
                del self.accounts[subject]
        del self._unseen[-most:]

    def reserve(
        self, allowances: Iterable[Allowance], prompt: int, cap: int | None, *, metered: bool = True
    ) -> Reservation:
        """Takes what one call needs, or raises Exhausted and takes nothing.

        `prompt` is its estimated tokens, `cap` the most output that it asks for: None for any, 0 for none.  What is
        not `metered` on its way reserves its cap whole.
        """
        held = tuple(allowances)
        now, wall = self.clock.monotonic(), self.clock.time()
        found = self.found(held, wall)
        ceiling = min((one.amount for one in held if one.dimension == OUTPUT), default=None)
        cap = ceiling if cap is None else (cap if ceiling is None else min(cap, ceiling))
        least = prompt + (cap != 0)
        lefts = [budget.left(one.amount) - prompt for one, _, budget in found if budget is not None]
        output, cap = portion(cap, min(lefts, default=None), self.step, metered=metered)
        tokens = prompt + min(output, self.step)
        for one, account, budget in found:
            if budget is None:
                wait = account.wait(one.dimension, one.amount, tokens, now)
            elif budget.spent + least > one.amount:
                wait = resets(one.dimension, wall)
            else:
                wait = 0.0 if budget.left(one.amount) >= least else account.pace.wait()
            if wait > 0:
                self.refuse(held, now)
                spent = budget is not None and budget.spent + least > one.amount
                raise Exhausted(one, wait, spent=spent)
        return Reservation(self, found, prompt, output, cap, now)

    def found(self, held: Iterable[Allowance], wall: float) -> list[Found]:
        """Returns each allowance with its account, and with its budget where it is one, in its present period."""
        found: list[Found] = []
        for one in held:
            account = self.accounts.get(one.subject) or self.account(one.subject)
            budget = None
            if one.dimension in BUDGETS:
                budget = account.budgets[one.dimension]
                budget.turn(period(one.dimension, wall))
            found.append((one, account, budget))
        return found

    def refuse(self, held: tuple[Allowance, ...], now: float) -> None:
        """Counts a refusal where requests are counted, up to what counts at all."""
        for one in held:
            if one.dimension == REQUESTS:
                refusals = self.account(one.subject).refusals
                if refusals.left(one.amount * REFUSALS, now):
                    refusals.take(now)

    def budget(self, one: Allowance, wall: float) -> Budget:
        """Returns the budget behind an allowance, in its present period."""
        budget = self.account(one.subject).budgets[one.dimension]
        budget.turn(period(one.dimension, wall))
        return budget

    def restore(self, spent: Mapping[tuple[str, str], int]) -> None:
        """Takes over what was spent before this process began, by subject and budget."""
        wall = self.clock.time()
        for (subject, dimension), tokens in spent.items():
            self.budget(Allowance(subject, dimension, 0), wall).spent += tokens

    def rooms(self, allowances: Iterable[Allowance]) -> list[tuple[Allowance, int, float]]:
        """Returns how much of each allowance is left, and in how many seconds it is whole again."""
        now, wall = self.clock.monotonic(), self.clock.time()
        return [
            (one, *account.room(one.dimension, one.amount, now))
            if budget is None
            else (one, max(0, budget.left(one.amount)), resets(one.dimension, wall))
            for one, account, budget in self.found(allowances, wall)
        ]

    def room(self, one: Allowance) -> tuple[int, float]:
        """Returns the same of one allowance."""
        ((_, left, whole_in),) = self.rooms((one,))
        return left, whole_in


class Reservation:
    """What one call holds of its allowances until it is settled."""

    __slots__ = ("cap", "held", "ledger", "output", "prompt", "rated", "settled", "taken_at")

    def __init__(  # noqa: PLR0913 -- made in one place
        self, ledger: Ledger, found: list[Found], prompt: int, output: int, cap: int | None, now: float
    ) -> None:
        self.ledger = ledger
        self.held = tuple(one for one, _, _ in found)
        self.prompt = prompt
        self.output = output
        self.cap = cap
        self.taken_at = now
        self.settled = False
        # A rate is owed for what was said; it need not be kept for all that an answer in one piece may say.
        self.rated = prompt + min(output, ledger.step)
        for one, account, budget in found:
            if budget is not None:
                budget.promised += prompt + output
            else:
                account.take(one.dimension, one.amount, self.rated, now)

    @property
    def tokens(self) -> int:
        """The tokens that are reserved now."""
        return self.prompt + self.output

    def promise(self, tokens: int, rated: int) -> None:
        """Takes tokens from every budget, and from every rate; a negative number gives some back."""
        ledger, now, wall = self.ledger, self.ledger.clock.monotonic(), self.ledger.clock.time()
        for one in self.held:
            if one.dimension in BUDGETS:
                ledger.budget(one, wall).promised += tokens
            elif one.dimension == TOKENS:
                ledger.account(one.subject).tokens.take(one.amount, rated, now)

    def extend(self) -> bool:
        """Reserves another step of output; returns whether there was anything left to reserve."""
        wall = self.ledger.clock.time()
        more = min(
            (self.ledger.budget(one, wall).left(one.amount) for one in self.held if one.dimension in BUDGETS),
            default=self.ledger.step,
        )
        ceiling = min((one.amount for one in self.held if one.dimension == OUTPUT), default=None)
        if ceiling is not None:
            # Ollama ends at its cap by itself; a step of grace covers frames that are no tokens.
            more = min(more, ceiling + self.ledger.step - self.output)
        more = min(more, self.ledger.step)
        if more <= 0:
            return False
        self.promise(more, more)
        self.output += more
        self.rated += more
        return True

    def settle(self, tokens: int) -> None:
        """Charges what the call really cost and gives the rest back, once."""
        if self.settled:
            return
        self.settled = True
        ledger = self.ledger
        now = ledger.clock.monotonic()
        for one, account, budget in ledger.found(self.held, ledger.clock.time()):
            account.pace.note(now - self.taken_at)
            if budget is not None:
                budget.promised -= self.tokens
                budget.spent += tokens
            elif one.dimension == TOKENS:
                account.tokens.take(one.amount, tokens - self.rated, now)
            elif one.dimension == CONCURRENCY:
                account.running -= 1
