"""Closes a connection so that its client gets to read the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class Parting:
    """A request's view of its connection when the connection is to end with the answer.

    uvicorn closes it right behind the answer.  While the client is still sending a body that nobody reads, that would
    be a reset, under which the answer is lost; so our side ends, and the rest waits for the client (`linger`).
    """

    def __init__(
        self, transport: asyncio.Transport, is_sending: Callable[[], bool], linger: Callable[[], None]
    ) -> None:
        self.transport = transport
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.is_sending = is_sending
        self.linger = linger

    def close(self) -> None:
        """Ends our side, and all of it once the client has nothing more to say."""
        if self.is_sending() and self.transport.can_write_eof():
            self.transport.write_eof()
            self.linger()
        else:
            self.transport.close()
