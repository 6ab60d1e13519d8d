"""Keeps an event stream warm while Ollama has not begun to answer: it may be loading a model for minutes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.rest import refusal_of
from proxy.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from proxy.call import Call, Facts
    from proxy.relay import Idle
    from proxy.routes import Route
    from proxy.upstream import Answer

# A comment: every reader of event streams skips it.
COMMENT = b": waiting\n\n"


class Waiting:
    """An answer of Ollama that is on its way; ends with its call."""

    def __init__(self, call: Call, asking: Coroutine[None, None, Answer]) -> None:
        self.task = asyncio.get_running_loop().create_task(asking)
        call.holds.append(self)

    async def within(self, seconds: float) -> bool:
        """Waits for the answer; returns whether it came, or failed, in this time."""
        done, _ = await asyncio.wait((self.task,), timeout=seconds)
        return bool(done)

    def close(self) -> None:
        """Stops waiting."""
        self.task.cancel()


class PatientRelay(Relay):
    """A relay whose answer is still to come: until then its frames are comments, sent every `seconds`.

    Its status 200 is on its way already, so an answer that fails becomes an error event.
    """

    def __init__(  # noqa: PLR0913 -- a relay's, and what it waits for
        self, call: Call, route: Route, facts: Facts, waiting: Waiting, idle: Idle, *, seconds: float
    ) -> None:
        super().__init__(call, route, facts, None, idle)
        self.waiting = waiting
        self.seconds = seconds

    async def __anext__(self) -> bytes:
        """Sends a comment, or takes the upstream's next bytes."""
        if self.answer is None and not self.over:
            if not await self.waiting.within(self.seconds):
                return COMMENT
            try:
                self.answer = self.waiting.task.result()
            except Exception as error:  # noqa: BLE001 -- every failure becomes the stream's last event
                return self.fail(refusal_of(error))
        return await super().__anext__()
