"""A connection to Ollama: HTTP/1.1, one exchange after the other."""

from __future__ import annotations

import asyncio
import os
import select
from contextlib import suppress
from typing import TYPE_CHECKING

import httptools
import httpx

from proxy.upstream.exchange import HIGH_WATER, Exchange

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.upstream.bodies import Upload

# Larger than any head of Ollama's, small enough to hold.
MAX_HEAD_BYTES = 64 * 2**10
# A small body travels in one piece with its head.
SMALL = 64 * 2**10
# A free connection that has something to read is given up; its bytes, or its end, are read within this many seconds.
LAST_READ = 1.0
INFORMATIONAL, SWITCHING = range(100, 200), 101
VERSIONS = ("1.0", "1.1")
# What servers and proxies send before they close an idle connection (RFC 9110, 15.5.9): not an answer to anybody.
IDLE_TIMEOUT = (b"HTTP/1.1 408", b"HTTP/1.0 408")


class Unreadable(httpx.RemoteProtocolError):
    """An answer in a transfer coding or content coding that was not asked for and is not decoded here."""


def ignore() -> None:
    """Does nothing."""


def never(_timeout: int) -> bool:
    """Tells that a transport without a socket has nothing to read."""
    return False


class Connection(asyncio.Protocol):
    """Sends requests and hears their answers.

    `freed` is called with it when it may serve another exchange, `lost` when it is closed, `unasked` when bytes come on
    it to which no request belongs.
    """

    def __init__(
        self,
        freed: Callable[[Connection], None],
        lost: Callable[[Connection], None],
        unasked: Callable[[], None] = ignore,
    ) -> None:
        self.freed = freed
        self.lost = lost
        self.unasked = unasked
        self.loop = asyncio.get_running_loop()
        self.idle_since = 0.0
        self.exchange: Exchange | None = None
        self.parser = httptools.HttpResponseParser(self)
        self.transport: asyncio.Transport
        self.received = 0  # bytes before the answer's head was whole
        self.field_bytes = 0
        self.interim = False  # the head that is being read is none of the answer's
        self.framed = False
        self.chunked = False
        self.unreadable = False
        self.persistent = True
        self.poll: Callable[[int], object] = never
        self.descriptor = -1  # to write to directly
        self.is_lost = False
        self.aborted = False
        self.upload: asyncio.Task[None] | None = None
        self.writable: asyncio.Future[None] | None = None

    # What is asked

    def send(self, head: bytes, body: bytes, *, has_body: bool) -> Exchange:
        """Sends a request that is known whole; returns its exchange."""
        exchange = self.begin(has_body=has_body)
        if len(body) <= SMALL:
            self.write(head + body)
        else:
            self.write(head)
            self.transport.write(body)
        return exchange

    def send_parts(self, head: bytes, upload: Upload) -> Exchange:
        """Sends a request whose body comes bit by bit, while its answer may begin."""
        exchange = self.begin(has_body=True)
        self.write(head)
        self.upload = self.loop.create_task(self.send_upload(upload))
        return exchange

    def begin(self, *, has_body: bool) -> Exchange:
        """Begins an exchange."""
        self.received = self.field_bytes = 0
        self.framed = self.chunked = self.unreadable = False
        exchange = self.exchange = Exchange(self, has_body=has_body)
        return exchange

    def write(self, data: bytes) -> None:
        """Writes the beginning of a request at once.

        The transport would write it at the end of the loop's turn; what comes until then could no longer be told from
        an answer to it (see `is_quiet`).
        """
        sent = 0
        if self.descriptor >= 0:
            with suppress(OSError):  # a full buffer waits in the transport, and any failure shows there too
                sent = os.write(self.descriptor, data)
        if sent < len(data):
            self.transport.write(data[sent:])

    async def send_upload(self, upload: Upload) -> None:
        """Sends the parts of a body as they come, as fast as Ollama takes them; a body that breaks off ends it all."""
        whole = False
        try:
            async for part in upload.parts:
                if part:
                    self.transport.write(part if upload.size is not None else b"%x\r\n%b\r\n" % (len(part), part))
                    if self.writable is not None:
                        await self.writable
            if upload.size is None:
                self.transport.write(b"0\r\n\r\n")
            whole = True
        finally:
            self.upload = None
            if not whole:
                self.abort()

    def abort(self) -> None:
        """Closes the connection at once, which stops Ollama's work."""
        self.aborted = True
        self.transport.abort()

    def give_up(self, exchange: Exchange, error: httpx.TransportError) -> None:
        """Ends an exchange whose answer is invalid, and the connection with it."""
        self.exchange = None
        exchange.fail(error)
        self.abort()

    def is_quiet(self) -> bool:
        """Tells whether a free connection is open and has nothing to read.

        The kernel is asked each time: the connection's end, or bytes that no request asked for, may be there without
        the loop knowing yet.
        """
        return not self.transport.is_closing() and not self.poll(0)

    def retire(self) -> None:
        """Closes a free connection once the loop has read what came on it."""
        self.loop.call_later(LAST_READ, self.abort)

    def refuse_unasked(self, data: bytes = b"") -> None:
        """Closes the connection on bytes to which no request belongs, and reports them; blank lines are harmless."""
        if self.transport.is_closing():
            return
        self.abort()
        if not data or (data.strip() and not data.startswith(IDLE_TIMEOUT)):
            self.unasked()

    def pause_reading(self) -> None:
        """Takes no more bytes for now."""
        with suppress(RuntimeError):  # uvloop objects to a transport that is closing
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Takes bytes again."""
        if not self.is_lost:
            with suppress(RuntimeError):
                self.transport.resume_reading()

    # What asyncio says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes the transport."""
        self.transport = transport  # type: ignore[assignment]  # of TCP or TLS: it can write
        peer = transport.get_extra_info("socket")
        if peer is not None:
            poll = select.poll()
            poll.register(peer.fileno(), select.POLLIN | select.POLLHUP)
            self.poll = poll.poll
            if transport.get_extra_info("ssl_object") is None:
                self.descriptor = peer.fileno()

    def data_received(self, data: bytes) -> None:
        """Parses what came; bytes that no request asked for end the connection."""
        exchange = self.exchange
        if exchange is None:
            self.refuse_unasked(data)
            return
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if exchange.over:
                self.refuse_unasked()
            self.give_up(exchange, httpx.RemoteProtocolError(type(error).__name__))
            return
        if exchange.status:
            exchange.offer()
            return
        self.received += len(data)
        if self.received > MAX_HEAD_BYTES:
            self.give_up(exchange, httpx.RemoteProtocolError("head too large"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends what was under way: well, where only the connection's end could be the answer's."""
        self.is_lost = True
        if self.upload is not None:
            self.upload.cancel()
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            # Without a word on where it ends, an answer ends with its connection, if Ollama ended that.
            if exc is None and not self.aborted and exchange.status and not self.framed:
                exchange.end()
            else:
                exchange.fail(httpx.ReadError("connection lost"))
        self.lost(self)
        # They hold each other: let go of, both are freed here, and nothing waits for the garbage collector.
        del self.parser

    def pause_writing(self) -> None:
        """Lets an upload wait."""
        self.writable = self.loop.create_future()

    def resume_writing(self) -> None:
        """Lets it go on."""
        if self.writable is not None and not self.writable.done():
            self.writable.set_result(None)
        self.writable = None

    # What the parser says

    def on_message_begin(self) -> None:
        """Ends the connection where nothing was asked."""
        if self.exchange is None:
            self.refuse_unasked()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Notes whether the body's end is announced, and codings other than those that were asked for.

        RFC 9112 (6.1): chunked alone is what may be sent to a client without `TE`; another coding before it would hide
        the body, and without chunked at the end it would have no end of its own.
        """
        self.field_bytes += len(name) + len(value)
        match name.lower():
            case b"content-length":
                self.framed = True
            case b"transfer-encoding":
                self.unreadable |= self.chunked or value.strip().lower() != b"chunked"
                self.framed = self.chunked = True
            case b"content-encoding":
                self.unreadable |= value.strip().lower() not in (b"", b"identity")

    def on_headers_complete(self) -> None:
        """Takes the status; an interim answer (RFC 9110, 15.2) is none."""
        status = self.parser.get_status_code()
        exchange = self.exchange
        if exchange is None:
            return
        self.interim = status in INFORMATIONAL
        version = self.parser.get_http_version()
        self.persistent = version == VERSIONS[-1]
        if (
            status == SWITCHING
            or (self.interim and self.framed)
            or self.field_bytes > MAX_HEAD_BYTES
            or version not in VERSIONS
        ):
            self.give_up(exchange, httpx.RemoteProtocolError("not a head that Ollama would send"))
        elif self.unreadable and exchange.has_body and not self.interim:
            self.give_up(exchange, Unreadable("coded"))
        elif not self.interim:
            exchange.status = status
            if not exchange.has_body:
                self.finish(exchange, reusable=False)

    def on_body(self, data: bytes) -> None:
        """Takes a part of the body."""
        if self.exchange is not None:
            self.exchange.take(data)

    def on_message_complete(self) -> None:
        """Ends the exchange."""
        if self.interim:
            self.framed = self.chunked = self.unreadable = False
        elif self.exchange is not None:
            self.finish(self.exchange, reusable=self.persistent and self.parser.should_keep_alive())

    def finish(self, exchange: Exchange, *, reusable: bool) -> None:
        """Ends an exchange that came whole; the connection may serve another, or ends with it."""
        self.exchange = None
        if exchange.size > HIGH_WATER:
            self.resume_reading()
        exchange.end()
        if self.upload is not None or self.transport.get_write_buffer_size():
            self.abort()  # it answered before it had heard all, and may never take the rest
        elif reusable and not self.is_lost:
            self.freed(self)
        else:
            self.transport.close()
