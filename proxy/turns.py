"""How many calls Ollama works on at once, and who is next."""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from proxy.exceptions import Full

if TYPE_CHECKING:
    from proxy.call import Call


class Turns:
    """Lets at most `most` calls through at once; the others wait in line, `patience` seconds at most."""

    def __init__(self, most: int, patience: float) -> None:
        self.most = most
        self.patience = patience
        self.running = 0
        self.line: deque[asyncio.Future[None]] = deque()

    async def take(self, call: Call) -> None:
        """Waits for a turn, which ends with the call; a call that waits too long is cut (Full)."""
        if self.running >= self.most:
            began = monotonic()
            call.note_waiting(waits=True)
            await self.wait(call)
            call.note_waiting(waits=False)
            call.outcome.wait = monotonic() - began
        self.running += 1
        call.holds.append(Turn(self))

    async def wait(self, call: Call) -> None:
        """Waits until a place is handed over."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.line.append(place)
        call.wait_until(monotonic() + self.patience, Full)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.hand_over()  # it came just too late for us
            elif place in self.line:
                self.line.remove(place)
            raise
        self.running -= 1  # the place of the one who went is counted until here, so that nobody slips in

    def hand_over(self) -> None:
        """Gives a free place to whoever is next in line, if anybody."""
        while self.line:
            place = self.line.popleft()
            if not place.done():
                place.set_result(None)
                return
        self.running -= 1


class Turn:
    """A call's right to use Ollama, given back when the call ends."""

    def __init__(self, turns: Turns) -> None:
        self.turns: Turns | None = turns

    def close(self) -> None:
        """Gives it back, once."""
        turns, self.turns = self.turns, None
        if turns is not None:
            turns.hand_over()
