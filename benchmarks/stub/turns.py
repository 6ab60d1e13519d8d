"""Waiting for a model: one request at a time, or a load that only two may wait for."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from benchmarks.stub.errors import BUSY
from benchmarks.stub.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from benchmarks.stub.routes import Reply

LOADING_MOST = 2


class Turns:
    """The turns of all models."""

    def __init__(self) -> None:
        self.locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.loading: defaultdict[str, int] = defaultdict(int)

    @asynccontextmanager
    async def turn(self, reply: Reply) -> AsyncIterator[None]:
        """Waits for the model's turn and holds it; raises Refusal (503) when too many wait for a load."""
        knobs = reply.knobs
        if knobs.serial:
            async with self.locks[reply.turn]:
                yield
        elif knobs.loading:
            if self.loading[reply.turn] >= LOADING_MOST:
                raise Refusal(503, BUSY)
            self.loading[reply.turn] += 1
            try:
                async with self.locks[reply.turn]:
                    yield
            finally:
                self.loading[reply.turn] -= 1
        else:
            yield
