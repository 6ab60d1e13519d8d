"""The ledger that several processes share: the members of usage.ledger.Ledger, some of them to be awaited."""

from __future__ import annotations

import math
from contextlib import suppress
from itertools import count
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from usage.dimensions import BUDGETS, CONCURRENCY, Allowance
from usage.ledger import Clock, Exhausted, Unavailable
from usage.shared.link import Link
from usage.shared.messages import Messages

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from usage.shared.link import Sums

# So many rooms are remembered; then all are forgotten, and heard anew with the next calls.
MOST_HEARD = 20_000
# Without any grace an answer still has the time to come, in seconds.
LEAST_PATIENCE = 0.25
DRAIN_SECONDS = 3.0
# Budgets that are told at once.
MOST_TOLD = 500

Heard = dict[tuple[str, str], tuple[int, float]]


def shared_ledger(url: str, grace: float, step: int, process: str) -> SharedLedger:
    """Returns the ledger of a process; nothing is asked before it is started."""
    patience = max(grace, LEAST_PATIENCE)
    return SharedLedger(Messages(Link(url, patience, process), patience, step))


class SharedLedger:
    """All accounts of all processes; `room` says what this process has last heard of one."""

    def __init__(self, messages: Messages) -> None:
        self.messages = messages
        self.clock = Clock()
        self.running: dict[str, SharedReservation] = {}
        self._heard: Heard = {}
        self.stopped = False
        self.said_bye = False
        self._calls = count(1)
        messages.listener = self

    async def start(self, sums: Sums) -> None:
        """Begins to ask, and waits for a first answer, though not for longer than the grace."""
        self.messages.link.sums = sums
        self.messages.start()
        with suppress(Unavailable):
            await self.look(())

    async def stop(self) -> None:
        """Tells the end of all calls, for some seconds at most."""
        self.stopped = True
        self.said_bye = await self.messages.stop(DRAIN_SECONDS)

    async def held_by(self, process: str) -> dict[str, float]:
        """Returns the names of what a process that has ended had reserved, and since when (epoch seconds).

        From then on no message of it is taken.  Raises Unavailable.
        """
        said = await self.messages.ask("held_by", process)
        return {str(name): float(since) for name, since in said} if isinstance(said, list) else {}

    async def conclude(self, process: str, charged: Mapping[str, int]) -> int:
        """Ends what such a process had reserved, charging these tokens by name; returns how many calls that were.

        What is not named is charged what was reserved.  Raises Unavailable.
        """
        said = await self.messages.ask("conclude", process, charged)
        return said if isinstance(said, int) else 0

    async def reserve(  # noqa: PLR0913 -- half of them by name
        self,
        allowances: Iterable[Allowance],
        prompt: int,
        cap: int | None,
        *,
        metered: bool = True,
        rate: float | None = None,
        call: str = "",
    ) -> SharedReservation:
        """Takes what one call needs, or raises Exhausted and takes nothing; raises Unavailable.

        The arguments are those of Ledger.reserve; how many tokens a second the call can write, None for any number: if
        this process is not heard of any more, no more than that is charged for the time that it was; and `call`, the
        call's id in the journal: by it, what a killed process had reserved is charged as in the account.  No two
        reservations have the same.
        """
        held = tuple(allowances)
        written = [list(one) for one in held]
        call = call or self.name()

        def give_back() -> None:
            self.messages.put("settle", call, 0, written)

        asked = -1 if cap is None else cap
        said = await self.messages.ask("reserve", call, prompt, asked, metered, written, rate, late=give_back)
        match said:
            case [1, int(output), int(most), rooms]:
                self.hear(held, rooms)
                reservation = SharedReservation(self, call, held, prompt, output, None if most < 0 else most, rate)
                self.running[call] = reservation
                return reservation
            case [0, int(which), int() | float() as wait, spent, rooms] if which < len(held):
                self.hear(held, rooms)
                raise Exhausted(held[which], math.inf if wait < 0 else float(wait), spent=spent == 1)
        raise Unavailable

    def raise_spent(self, spent: Mapping[tuple[str, str], int]) -> None:
        """Has budgets count at least what was spent, by subject and budget, before what is asked after this."""
        told = [[subject, dimension, tokens, time()] for (subject, dimension), tokens in spent.items()]
        for start in range(0, len(told), MOST_TOLD):
            self.messages.put("raise", told[start : start + MOST_TOLD])

    def name(self, call: str = "") -> str:
        """Returns the name of another reservation of a call; what stands before the dot names the call."""
        number = f"{next(self._calls):x}"
        return f"{call}.{number}" if call else number

    def adopt(self, held: tuple[Allowance, ...], call: str = "") -> SharedReservation:
        """Counts a call that runs already, whether there is room for it or not."""
        call = self.name(call)
        reservation = self.running[call] = SharedReservation(self, call, held, 0, 0, None, None)
        self.messages.put(*reservation.adopting())
        return reservation

    async def look(self, allowances: Iterable[Allowance]) -> None:
        """Hears what is left of some allowances; raises Unavailable."""
        held = tuple(allowances)
        self.hear(held, await self.messages.ask("rooms", [list(one) for one in held]))

    def hear(self, held: Iterable[Allowance], rooms: Any) -> None:
        """Remembers what was said of some allowances: what is left, and when they are whole again."""
        if len(self._heard) > MOST_HEARD:
            self._heard.clear()
        now = monotonic()
        for one, said in zip(held, rooms, strict=False):
            match said:
                case [int(left), int() | float() as resets]:
                    self._heard[one[:2]] = left, (now + resets if resets >= 0 else math.inf)

    def known(self, allowances: Iterable[Allowance]) -> tuple[Allowance, ...]:
        """Returns the allowances of which something was heard."""
        return tuple(one for one in allowances if one[:2] in self._heard)

    def rooms(self, allowances: Iterable[Allowance]) -> list[tuple[int, float]]:
        """Returns how much of each allowance is left, and in how many seconds it is whole again."""
        return [self.room(one) for one in allowances]

    def room(self, one: Allowance) -> tuple[int, float]:
        """Returns how much of an allowance is left, and in how many seconds it is whole again."""
        left, whole_at = self._heard.get(one[:2], (one.amount, 0.0))
        resets = whole_at - monotonic()
        if resets <= 0 and one.dimension != CONCURRENCY:
            return one.amount, 0.0
        return min(left, one.amount), max(0.0, resets)

    def give_back(self, held: Iterable[Allowance], tokens: int) -> None:
        """Counts among what was heard that a call has not used what it had reserved."""
        for one in held:
            if one.dimension in BUDGETS and one[:2] in self._heard:
                left, whole_at = self._heard[one[:2]]
                self._heard[one[:2]] = max(0, left + tokens), whole_at

    def adopted(self) -> Iterable[list[Any]]:
        """Returns the operations that count all calls that run at this moment."""
        return [reservation.adopting() for reservation in self.running.values()]


class SharedReservation:
    """What one call holds of its allowances until it is settled."""

    __slots__ = ("cap", "held", "id", "ledger", "output", "prompt", "rate", "taken_at")

    def __init__(  # noqa: PLR0913 -- made in one place
        self,
        ledger: SharedLedger,
        call: str,
        held: tuple[Allowance, ...],
        prompt: int,
        output: int,
        cap: int | None,
        rate: float | None,
    ) -> None:
        self.ledger = ledger
        self.id = call
        self.rate = rate
        self.held = held
        self.prompt = prompt
        self.output = output
        self.cap = cap
        self.taken_at = monotonic()

    @property
    def tokens(self) -> int:
        """The tokens that are reserved now, as far as this process has heard."""
        return self.prompt + self.output

    def adopting(self) -> list[Any]:
        """Returns the operation that counts the call where it is not known."""
        held = [list(one) for one in self.held]
        return ["adopt", self.id, self.prompt, self.output, monotonic() - self.taken_at, held, self.rate]

    async def extend(self) -> bool:
        """Reserves another step of output; returns whether there was anything left to reserve, and a ledger to ask."""
        try:
            more = await self.ledger.messages.ask("extend", self.id)
        except Unavailable:
            return False
        if not isinstance(more, int) or more <= 0:
            return False
        self.output += more
        return True

    def settle(self, tokens: int) -> None:
        """Has it charged what the call really cost, once; never waits."""
        ledger = self.ledger
        if ledger.running.pop(self.id, None) is None:
            return
        ledger.give_back(self.held, self.tokens - tokens)
        ledger.messages.put("settle", self.id, tokens, [list(one) for one in self.held])
