"""The door and the turns of a gateway whose limits several processes share."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from proxy.admission import Entrance, new_call_id
from proxy.exceptions import Full, LimitsUnavailable, OverLimit
from proxy.speed import speeds
from usage.dimensions import CONCURRENCY, Allowance
from usage.ledger import Exhausted, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from proxy.call import Call
    from proxy.policy import Ask
    from proxy.routes import Route
    from usage.shared.ledger import SharedLedger, SharedReservation

# Places that other processes free are looked for this often, in seconds, while somebody waits.
POLL = 0.1


class SharedDoor(Entrance["SharedLedger"]):
    """A door that asks the shared ledger; calls without limits need none, and do not wait."""

    def admit(self, call: Call, route: Route, asked: Ask) -> Awaitable[None] | None:
        """Lets a call without limits in; returns what is to be awaited for another one."""
        self.check_journal()
        assert call.principal is not None  # noqa: S101 -- the view has authenticated it
        allowances = self.allowances(call.principal)
        if allowances:
            return self.admit_limited(call, route, asked, allowances)
        self.enter(call, route, asked, None, new_call_id())
        return None

    async def admit_limited(self, call: Call, route: Route, asked: Ask, allowances: Sequence[Allowance]) -> None:
        """Reserves in the shared ledger; raises OverLimit and LimitsUnavailable."""
        call_id = new_call_id()
        try:
            reservation = await self.ledger.reserve(
                allowances,
                asked.prompt_estimate,
                asked.cap,
                metered=asked.streamed,
                rate=speeds.rate(asked.canonical),
                call=call_id,
            )
        except Exhausted as exhausted:
            raise OverLimit(exhausted) from None
        except Unavailable:
            raise LimitsUnavailable from None
        self.enter(call, route, asked, reservation, call_id)


class SharedTurns:
    """Lets at most `most` calls of all processes through at once; the others wait, `patience` seconds at most.

    While Redis is away, each process lets its share of them through.
    """

    def __init__(self, most: int, patience: float, ledger: SharedLedger) -> None:
        self.most = most
        self.patience = patience
        self.ledger = ledger
        self.house = (Allowance("house", CONCURRENCY, most),)
        self.running = 0
        self.line: set[Call] = set()
        self.alone: set[SharedTurn] = set()
        self._order = asyncio.Lock()
        self._freed = asyncio.Event()
        ledger.messages.on_return = self.rejoin

    async def take(self, call: Call) -> None:
        """Waits for a turn, which ends with the call; a call that waits too long is cut (Full)."""
        began = monotonic()
        turn = None if self._order.locked() else await self.attempt(call)
        if turn is None:
            call.note_waiting(waits=True)
            turn = await self.wait(call)
            call.note_waiting(waits=False)
        call.holds.append(turn)
        call.outcome.wait = monotonic() - began

    async def wait(self, call: Call) -> SharedTurn:
        """Waits in line, and then for a place."""
        call.wait_until(monotonic() + self.patience, Full)
        self.line.add(call)
        try:
            async with self._order:
                while True:
                    self._freed.clear()
                    turn = await self.attempt(call)
                    if turn is not None:
                        return turn
                    with suppress(TimeoutError):
                        async with asyncio.timeout(POLL):
                            await self._freed.wait()
        finally:
            self.line.discard(call)

    async def attempt(self, call: Call) -> SharedTurn | None:
        """Takes a turn if one is free."""
        messages = self.ledger.messages
        call_id = call.admission.call_id if call.admission is not None else ""
        try:
            reservation = await self.ledger.reserve(self.house, 0, 0, call=self.ledger.name(call_id))
            return SharedTurn(self, reservation, call_id)
        except Exhausted:
            return None
        except Unavailable:
            share = max(1, self.most // messages.living)
            return SharedTurn(self, None, call_id) if self.running < share else None

    def rejoin(self) -> None:
        """Counts among all what this process let through on its own."""
        for turn in self.alone:
            turn.reservation = self.ledger.adopt(self.house, turn.call_id)
        self.alone.clear()

    def free(self) -> None:
        """Tells who waits that a place may be free."""
        self.running -= 1
        self._freed.set()


class SharedTurn:
    """A call's right to use Ollama, given back when the call ends."""

    def __init__(self, turns: SharedTurns, reservation: SharedReservation | None, call_id: str) -> None:
        self.turns: SharedTurns | None = turns
        self.reservation = reservation
        self.call_id = call_id
        turns.running += 1
        if reservation is None:
            turns.alone.add(self)

    def close(self) -> None:
        """Gives it back, once."""
        turns, self.turns = self.turns, None
        if turns is None:
            return
        turns.alone.discard(self)
        if self.reservation is not None:
            self.reservation.settle(0)
        turns.free()
