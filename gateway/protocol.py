"""uvicorn's HTTP protocol with bounds on what a client may do before anyone knows who it is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from django.conf import settings
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.rest import Refusal, error_body

if TYPE_CHECKING:
    from asyncio import TimerHandle

# A refused request's body is read away this long, in seconds, so that the client gets to see its answer.
LINGER = 5.0


class CappedProtocol(HttpToolsProtocol):
    """Caps the size of a request's head and the time it may take, and drops readers that stopped reading.

    uvicorn has no such bounds (0.54).  The timers below run only for heads that come in pieces, for writes that are
    stuck and for bodies that nobody wants: an ordinary request sets none.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.head_limit: int = settings.ENV.MAX_HEADER_BYTES
        self.pause: float = settings.ENV.CLIENT_TIMEOUT
        self.head_bytes = 0
        self.in_head = True
        self.head_timer: TimerHandle | None = None
        self.write_timer: TimerHandle | None = None
        self.linger_timer: TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] -- uvicorn narrows it too
        """Starts the clock for the first head."""
        super().connection_made(transport)
        self.head_timer = self.loop.call_later(self.pause, self.head_timed_out)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops all clocks."""
        super().connection_lost(exc)
        for timer in (self.head_timer, self.write_timer, self.linger_timer):
            if timer is not None:
                timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Parses what came, unless it is a head that has grown too large."""
        super().data_received(data)
        if not self.in_head or self.transport.is_closing():
            return
        self.head_bytes += len(data)
        if self.head_bytes > self.head_limit:
            self.refuse(Refusal(431, f"The request's head is larger than {self.head_limit} bytes (MAX_HEADER_BYTES)."))
        elif self.head_timer is None:
            self.head_timer = self.loop.call_later(self.pause, self.head_timed_out)

    def on_message_begin(self) -> None:
        """Begins to count a head."""
        super().on_message_begin()
        self.in_head = True
        self.head_bytes = 0

    def on_headers_complete(self) -> None:
        """Lets the request in, unless its head came in one piece that is too large."""
        self.in_head = False
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > self.head_limit:
            self.in_head = True  # data_received refuses it
            self.head_bytes = self.head_limit
            return
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Reads away a body that was refused unread, for a while."""
        super().on_response_complete()
        if self.cycle is not None and self.cycle.more_body and not self.transport.is_closing():
            self.linger_timer = self.loop.call_later(LINGER, self.transport.close)

    def on_body(self, body: bytes) -> None:
        """Passes a part of the body on, unless its head was refused."""
        if not self.in_head:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Ends the reading away of a body."""
        if self.in_head:
            return
        super().on_message_complete()
        self.cycle.more_body = False
        if self.linger_timer is not None:
            self.linger_timer.cancel()
            self.linger_timer = None

    def pause_writing(self) -> None:
        """Starts the clock for a client that does not read."""
        super().pause_writing()
        self.write_timer = self.loop.call_later(self.pause, self.transport.abort)

    def resume_writing(self) -> None:
        """Stops it."""
        super().resume_writing()
        if self.write_timer is not None:
            self.write_timer.cancel()
            self.write_timer = None

    def head_timed_out(self) -> None:
        """Closes a connection whose request's head did not come in time."""
        if not self.transport.is_closing():
            self.refuse(Refusal(408, "The request's head did not arrive in time."))

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 -- uvicorn's words are not ours
        """Answers what is not HTTP."""
        self.refuse(Refusal(400, "This is not an HTTP request that the gateway can read."))

    def refuse(self, refusal: Refusal) -> None:
        """Answers and closes, without an application."""
        body = error_body(refusal)
        self.transport.write(
            STATUS_LINE[refusal.status_code]
            + b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            + body
        )
        self.transport.close()
