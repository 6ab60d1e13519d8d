"""One request to Ollama and the answer to it, as its bytes come in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from proxy.upstream.connection import Connection

# So much of an answer waits for a slow client; then Ollama's end is told to wait.
HIGH_WATER = 128 * 2**10


class Exchange:
    """What has come of an answer, and who waits for more of it.

    Its connection fills it and leaves it at the answer's end; what has come until then can still be read.
    """

    __slots__ = (
        "connection",
        "failure",
        "has_body",
        "loop",
        "over",
        "parts",
        "shortcut",
        "size",
        "status",
        "unwanted",
        "waiter",
    )

    def __init__(self, connection: Connection, *, has_body: bool) -> None:
        self.connection = connection
        self.has_body = has_body  # a HEAD's answer has none, whatever its head says
        self.loop = connection.loop
        self.status = 0  # until the head is there
        self.parts: list[bytes] = []
        self.size = 0
        self.over = False
        self.unwanted = False
        self.failure: httpx.TransportError | None = None
        self.waiter: asyncio.Future[None] | None = None
        self.shortcut: Callable[[bytes], bool] | None = None  # of whoever waits in `read`

    async def head(self) -> int:
        """Waits for the answer's head and returns its status; raises httpx.TransportError when there will be none."""
        while not self.status:
            self.check()
            self.waiter = self.loop.create_future()
            await self.waiter
        return self.status

    async def read(self, shortcut: Callable[[bytes], bool] | None = None) -> bytes:
        """Waits for bytes and returns all that are there, b"" at the end; raises httpx.TransportError.

        While it waits, what comes is offered to `shortcut`, which says whether it took it; only what it did not take is
        returned.
        """
        while not self.parts:
            self.check()
            if self.over:
                return b""
            self.waiter = self.loop.create_future()
            self.shortcut = shortcut
            try:
                await self.waiter
            finally:
                self.shortcut = None
        return self.collect()

    def collect(self) -> bytes:
        """Returns what has come, and makes room for more."""
        data = b"".join(self.parts)
        self.parts = []
        if self.size > HIGH_WATER and not self.over:
            self.connection.resume_reading()
        self.size = 0
        return data

    def check(self) -> None:
        """Raises what the answer broke off with.

        It is made anew each time: raised itself, it and what it passed through would hold each other for ever.
        """
        if self.failure is not None:
            raise type(self.failure)(*self.failure.args)

    def wake(self) -> None:
        """Lets whoever waits look again."""
        waiter = self.waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def offer(self) -> None:
        """Offers what has come to the shortcut of whoever waits; only what it does not take wakes him."""
        waiter = self.waiter
        if waiter is None or waiter.done():
            return
        if self.parts and self.shortcut is not None and self.shortcut(b"".join(self.parts)):
            self.collect()
        else:
            waiter.set_result(None)

    def take(self, data: bytes) -> None:
        """Takes bytes of the answer's body."""
        if self.unwanted:
            return
        self.parts.append(data)
        self.size += len(data)
        if self.size > HIGH_WATER:
            self.connection.pause_reading()

    def end(self) -> None:
        """Takes note that the answer has come whole."""
        self.over = True
        self.wake()

    def fail(self, error: httpx.TransportError) -> None:
        """Takes note that no more will come; what has come can still be read."""
        if not self.over and self.failure is None:
            self.failure = error
            self.wake()

    def want_no_more(self) -> None:
        """Lets the rest of the answer pass unread."""
        self.unwanted = True
        self.parts = []
        if self.size > HIGH_WATER and not self.over:
            self.connection.resume_reading()
        self.size = 0

    def close(self) -> None:
        """Closes the connection, which stops Ollama's work, unless the answer has come whole."""
        if not self.over:
            self.connection.abort()
