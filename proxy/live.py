"""The calls that are running now: cut when they wait too long, or when the gateway stops."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from proxy.exceptions import CallTooLong

if TYPE_CHECKING:
    from gateway.rest import Refusal
    from proxy.call import Call

# How often deadlines are looked at, in seconds.  One look a call here is cheaper than a timer a call.
SWEEP_INTERVAL = 0.1


class LiveCalls:
    """The set of running calls."""

    def __init__(self) -> None:
        self.calls: set[Call] = set()
        self.sweeper: asyncio.Task[None] | None = None
        self.longest = float("inf")

    def start(self, longest: float) -> None:
        """Begins to look at deadlines, on the running event loop; no call may take more than `longest` seconds."""
        self.longest = longest
        self.sweeper = asyncio.get_running_loop().create_task(self.sweep())

    def stop(self) -> None:
        """Stops looking."""
        if self.sweeper is not None:
            self.sweeper.cancel()

    async def sweep(self) -> None:
        """Cuts the calls that passed their deadline, again and again."""
        while True:
            await asyncio.sleep(SWEEP_INTERVAL)
            now = monotonic()
            begun = now - self.longest
            for call in [call for call in self.calls if call.deadline < now or call.started < begun]:
                if call.started < begun:
                    call.cut(CallTooLong(self.longest))
                elif call.timeout is not None:
                    call.cut(call.timeout())

    def cut_all(self, refusal: Refusal) -> None:
        """Cuts every running call."""
        for call in list(self.calls):
            call.cut(refusal)


live = LiveCalls()
