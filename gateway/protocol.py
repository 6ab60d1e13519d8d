"""uvicorn's HTTP protocol with bounds on what a client may do before anyone knows who it is."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from django.conf import settings
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from gateway.cycle import HTTP_1_1
from gateway.fields import MOST_FIELDS, FieldsProtocol, HeadTooLarge, UnknownVersion
from gateway.openfiles import most_connections
from gateway.parting import Parting
from gateway.requestid import new_request_id
from gateway.rest import Refusal, error_body

if TYPE_CHECKING:
    from asyncio import TimerHandle

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

# What a refused request still sends is read away this long, in seconds, so that the client gets to see its answer.
LINGER = 5.0
VERSIONS = ("1.0", HTTP_1_1)
# What the parser says of a version in the request line that it doesn't know, and of the preface of HTTP/2.
UNKNOWN_VERSION = frozenset(
    {"Invalid HTTP version", "Expected dot", "Pause on PRI/Upgrade", "Expected HTTP/2 Connection Preface"}
)


class CappedProtocol(FieldsProtocol):
    """Caps the size of a request's head and the time it may take, and drops readers that stopped reading.

    uvicorn has no such bounds (0.54).  An ordinary request sets none of the timers below.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.head_limit: int = settings.ENV.MAX_HEADER_BYTES
        self.pause: float = settings.ENV.CLIENT_TIMEOUT
        self.head_bytes = 0
        self.in_trailers = False
        self.piece = 0  # the size of what is being parsed
        self.passed = 0  # how much of it, at most, stands before the head
        self.refused = False
        self.parting = False
        self.unread = 0
        self.head_timer: TimerHandle | None = None
        self.write_timer: TimerHandle | None = None
        self.linger_timer: TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it too
        """Starts the clock for the first head, unless too many are connected."""
        super().connection_made(transport)
        if len(self.connections) > most_connections():
            self.refused = True
            self.write_refusal(Refusal(503, "Too many clients are connected. Try again soon."))
            transport.close()
            return
        self.head_timer = self.loop.call_later(self.pause, self.head_timed_out)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops all clocks; uvicorn's own goes on after a reset, and holds all of the connection meanwhile."""
        super().connection_lost(exc)
        for timer in (self.head_timer, self.write_timer, self.linger_timer, self.timeout_keep_alive_task):
            if timer is not None:
                timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Parses what came, unless it is a head that has grown too large."""
        if self.refused:
            return
        self.piece, self.passed = len(data), 0
        super().data_received(data)
        if self.refused or self.deaf:
            return
        if self.in_head or self.in_trailers:
            self.head_bytes += self.piece - self.passed
            if self.head_bytes > self.head_limit:
                self.refuse(self.too_large())
            elif self.in_head and self.head_timer is None:
                self.head_timer = self.loop.call_later(self.pause, self.head_timed_out)
        elif self.cycle.response_complete and self.timeout_keep_alive_task is None:
            # An empty line, which stands for nothing, must not stop the clock of an idle connection.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_message_begin(self) -> None:
        """Begins to count a head."""
        super().on_message_begin()
        self.in_head = True
        self.head_bytes = 0
        self.coding = None

    def on_headers_complete(self) -> None:
        """Lets the request in; raises UnknownVersion and HeadTooLarge.

        The parser itself objects to some framing too, once the request is in.
        """
        version = self.parser.get_http_version()
        if version != HTTP_1_1:
            if version not in VERSIONS:
                self.is_unknown_version = True
                raise UnknownVersion
            self.expect_100_continue = False  # it knows no interim answers (RFC 9110, 10.1.1)
        if self.head_size() > self.head_limit:
            self.oversized = True
            raise HeadTooLarge
        self.in_head = False
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None
        super().on_headers_complete()
        if self.url[:1] != b"/":
            self.scope["absolute"] = True  # type: ignore[typeddict-unknown-key]  # the server's own
        if version != HTTP_1_1:
            self.cycle.keep_alive = False  # whatever it asks for: an answer of unknown length ends with the connection
        if not self.cycle.keep_alive:
            self.end_after(self.cycle)

    def end_after(self, cycle: RequestResponseCycle) -> None:
        """Makes this request the connection's last, in a way that lets its client read the answer."""
        super().end_after(cycle)
        cycle.transport = Parting(self.transport, self.is_sending, self.part)  # type: ignore[assignment]  # all that a cycle needs

    def on_chunk_header(self) -> None:
        """Counts what follows as a head until it turns out to be body: these may be the last chunk's trailers."""
        if not self.in_trailers:
            self.in_trailers = True
            self.head_bytes = 0
            self.passed = self.piece

    def on_body(self, body: bytes) -> None:
        """Passes a part of the body on."""
        self.in_trailers = False
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Ends the reading away of a body."""
        super().on_message_complete()
        if self.parser.should_upgrade():
            return  # the body is still to come
        self.in_trailers = False
        self.passed = self.piece
        self.cycle.more_body = False
        if self.linger_timer is not None:
            self.linger_timer.cancel()
            self.linger_timer = None
        if self.parting:
            self.transport.close()

    def on_response_complete(self) -> None:
        """Reads away a body that was refused unread, for a while."""
        super().on_response_complete()
        if self.parting or self.cycle is None:
            return
        if self.cycle.response_complete and self.cycle.more_body and not self.transport.is_closing():
            self.linger_timer = self.loop.call_later(LINGER, self.transport.close)

    def is_sending(self) -> bool:
        """Tells whether the client may still be sending what nobody reads."""
        return self.deaf or (self.cycle is not None and self.cycle.more_body)

    def part(self) -> None:
        """Closes the connection once the client has sent its body, or in a while."""
        self.parting = True
        self.linger_timer = self.loop.call_later(LINGER, self.transport.abort)

    def pause_writing(self) -> None:
        """Starts the clock for a client that does not read."""
        super().pause_writing()
        self.unread = self.transport.get_write_buffer_size()
        self.write_timer = self.loop.call_later(self.pause, self.write_timed_out)

    def resume_writing(self) -> None:
        """Stops it."""
        super().resume_writing()
        if self.write_timer is not None:
            self.write_timer.cancel()
            self.write_timer = None

    def write_timed_out(self) -> None:
        """Drops a client that read nothing since the last look; a slow one gets another."""
        unread = self.transport.get_write_buffer_size()
        if unread >= self.unread:
            if self.running is not None:
                self.running.scope["cut"] = True  # type: ignore[typeddict-unknown-key]  # for whoever reports the call
            self.transport.abort()
            return
        self.unread = unread
        self.write_timer = self.loop.call_later(self.pause, self.write_timed_out)

    def head_timed_out(self) -> None:
        """Closes a connection whose request's head did not come in time; one that never said a word gets none."""
        if self.head_bytes or (self.cycle is not None and not self.cycle.response_complete):
            self.refuse(Refusal(408, "The request's head did not arrive in time."))
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 -- uvicorn's words are not ours
        """Answers what the parser could not read, or was not allowed to."""
        if self.deaf:
            return
        if self.oversized:
            self.refuse(self.too_large())
        elif self.is_unknown_version or str(sys.exception()) in UNKNOWN_VERSION:
            self.refuse(Refusal(505, "This version of HTTP is not supported. Use HTTP/1.1."))
        else:
            self.refuse(Refusal(400, "This is not an HTTP request that the gateway can read."))

    def too_large(self) -> Refusal:
        """Returns what a client with too large a head hears."""
        return Refusal(
            431,
            f"The request's head is larger than {self.head_limit} bytes (MAX_HEADER_BYTES), "
            f"or has more than {MOST_FIELDS} fields.",
        )

    def refuse(self, refusal: Refusal) -> None:
        """Answers without an application, and closes once the client has had time to read it.

        Requests before it, which were valid, get their answers first; the connection then ends without this one.
        """
        if self.refused or self.transport.is_closing():
            return
        if self.cycle is not None and self.cycle.more_body and not self.in_head:
            self.refuse_body(refusal)
        elif self.cycle is not None and not self.cycle.response_complete:
            self.deaf = True
            self.end_after(self.cycle)
        else:
            self.refuse_now(refusal)

    def refuse_body(self, refusal: Refusal) -> None:
        """Refuses the request whose body is being read."""
        cycle = self.cycle
        if self.pipeline:
            self.drop_last()
        elif cycle.response_started:
            self.refused = True
            self.transport.close()  # in the middle of its answer, or behind it, there is no place for another
        else:
            # To the application this is a client that left.
            cycle.disconnected = True
            cycle.message_event.set()
            self.scope["departure"].happen()  # type: ignore[typeddict-item]  # the server's own
            self.refuse_now(refusal)

    def refuse_now(self, refusal: Refusal) -> None:
        """Writes a refusal as the connection's last answer."""
        self.refused = True
        self.write_refusal(refusal)
        # Closing now would reset the connection under a client that is still sending, and its answer be lost.
        self.transport.write_eof()
        self.linger_timer = self.loop.call_later(LINGER, self.transport.abort)

    def write_refusal(self, refusal: Refusal) -> None:
        """Writes a whole answer."""
        body = error_body(refusal)
        self.transport.write(
            STATUS_LINE[refusal.status_code]
            + b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body)
            + b"x-request-id: %b\r\nconnection: close\r\n\r\n" % new_request_id().encode()
            + body
        )
