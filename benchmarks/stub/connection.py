"""One TCP connection to the stub: requests in, answers out, one after the other."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import deque
from typing import TYPE_CHECKING, cast

import httptools

from benchmarks.stub import control, wire
from benchmarks.stub.play import Cut, Player
from benchmarks.stub.record import Exchange, Link
from benchmarks.stub.refusal import Refusal

if TYPE_CHECKING:
    from benchmarks.stub.ready import Ready
    from benchmarks.stub.server import Stub

HIGH_WATER = 64 * 1024
NO_LINGER = struct.pack("ii", 1, 0)
BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request"
)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(asyncio.Protocol):
    """Parses requests and gives each its answer, the ready ones without a task."""

    def __init__(self, stub: Stub) -> None:
        self.stub = stub
        self.loop = asyncio.get_running_loop()
        self.parser = httptools.HttpRequestParser(self)
        self.current: Exchange | None = None
        self.waiting: deque[tuple[Exchange, bool]] = deque()
        self.keep_alive = True
        self.timer: asyncio.TimerHandle | None = None
        self.task: asyncio.Task[None] | None = None
        self.resumed: asyncio.Future[None] | None = None
        self.paused = False

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Notes the new connection."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=HIGH_WATER)
        self.link = Link(next(self.stub.recorder.numbers), time.monotonic())
        self.stub.open.add(self)

    def data_received(self, data: bytes) -> None:
        """Feeds the parser; what isn't HTTP gets Go's plain 400."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.write(BAD_REQUEST)
            self.transport.close()

    def eof_received(self) -> bool:
        """Takes the end of the client's stream for its leaving, as Go does."""
        if self.current:
            self.transport.abort()
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        """Stops the answer under way and notes when."""
        now = self.link.closed_at = time.monotonic()
        self.stub.open.discard(self)
        if self.timer:
            self.timer.cancel()
        if self.task:
            self.task.cancel()
        for exchange in (self.current, *(exchange for exchange, _keep in self.waiting)):
            if exchange:
                exchange.end("cancelled", now)
        self.resume_writing()

    def pause_writing(self) -> None:
        """Remembers that the reader is behind."""
        self.paused = True

    def resume_writing(self) -> None:
        """Wakes whoever waits for the reader."""
        self.paused = False
        if self.resumed and not self.resumed.done():
            self.resumed.set_result(None)

    # What the parser calls

    def on_message_begin(self) -> None:
        """Starts a request."""
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        """Collects the target, which may come in pieces."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collects a header."""
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Invites the body of a client that waits for the invitation."""
        if any(name.lower() == b"expect" for name, _value in self.headers):
            self.transport.write(CONTINUE)

    def on_body(self, body: bytes) -> None:
        """Collects the body."""
        self.body.append(body)

    def on_message_complete(self) -> None:
        """Answers the request, or queues it behind the one before."""
        body = self.body[0] if len(self.body) == 1 else b"".join(self.body)
        exchange = Exchange(
            next(self.stub.recorder.numbers),
            self.link,
            self.parser.get_method().decode(),
            self.url.decode("latin-1"),
            self.headers,
            body,
            time.monotonic(),
        )
        if self.current:
            self.waiting.append((exchange, self.parser.should_keep_alive()))
        else:
            self.serve(exchange, keep_alive=self.parser.should_keep_alive())

    # How a request is answered

    def serve(self, exchange: Exchange, *, keep_alive: bool) -> None:
        """Records a request and starts its answer."""
        self.current, self.keep_alive = exchange, keep_alive
        stub = self.stub
        if exchange.target.startswith(control.PREFIX):
            self.control(exchange)
            return
        if not self.link.requests:
            stub.recorder.links.append(self.link)
        self.link.requests += 1
        stub.recorder.add(exchange)
        ready = stub.ready.get((exchange.method, exchange.target, len(exchange.body)))
        if ready and ready.body == exchange.body and stub.allows(exchange.headers):
            self.play_ready(exchange, ready)
        else:
            self.task = self.loop.create_task(self.answer(exchange))
            self.task.add_done_callback(self.give_up_on_a_fault)

    def control(self, exchange: Exchange) -> None:
        """Answers one of the stub's own routes."""
        try:
            answer = self.stub.control(exchange)
        except Refusal as refusal:
            answer = self.stub.shaped(refusal, "native")
        self.transport.write(wire.whole(answer, (), body=True))
        self.finish(exchange)

    def play_ready(self, exchange: Exchange, ready: Ready) -> None:
        """Writes what is ready: at once, or piece by piece."""
        exchange.route = ready.route
        self.stub.recorder.calls[ready.route] += 1
        if ready.interval:
            self.tick(exchange, ready, 0, self.loop.time())
        else:
            self.transport.write(ready.pieces[0])
            exchange.chunks = ready.chunks
            self.finish_when_read(exchange)

    def tick(self, exchange: Exchange, ready: Ready, index: int, due: float) -> None:
        """Writes one piece and sets the clock for the next."""
        self.transport.write(ready.piece(index, due))
        index += 1
        exchange.chunks = min(index, ready.chunks)
        if index == len(ready.pieces):
            self.finish_when_read(exchange)
            return
        due += ready.interval
        self.timer = self.loop.call_later(max(0, due - self.loop.time()), self.tick, exchange, ready, index, due)

    async def answer(self, exchange: Exchange) -> None:
        """Works an answer out and plays it."""
        route, reply = self.stub.reply(exchange)
        exchange.route = route
        if ready := self.stub.keep(exchange, reply):
            self.play_ready(exchange, ready)
            return
        self.stub.recorder.calls[route] += 1
        try:
            async with self.stub.turns.turn(reply):
                await Player(self, exchange, reply).play()
        except Cut:
            exchange.end("cut", time.monotonic())
        except Refusal as refusal:
            self.write(wire.whole(self.stub.shaped(refusal, self.stub.surface(exchange)), (), body=True))
        await self.drained()
        if reply.knobs.close:
            self.keep_alive = False
        self.finish(exchange)

    def give_up_on_a_fault(self, task: asyncio.Task[None]) -> None:
        """Closes the connection and says so when the stub itself is at fault, so that no test waits for ever."""
        if not task.cancelled() and (error := task.exception()):
            self.loop.call_exception_handler({"message": "the stub has a fault", "exception": error})
            self.transport.abort()

    def finish_when_read(self, exchange: Exchange) -> None:
        """Ends an answer, once the reader has taken most of it."""
        if self.paused:
            self.task = self.loop.create_task(self.finish_later(exchange))
        else:
            self.finish(exchange)

    async def finish_later(self, exchange: Exchange) -> None:
        """Ends an answer that the reader is behind with."""
        await self.drained()
        self.finish(exchange)

    def finish(self, exchange: Exchange) -> None:
        """Notes the end and turns to the next request."""
        exchange.end("done", time.monotonic())
        self.current = None
        if self.transport.is_closing():
            return
        if not self.keep_alive:
            self.transport.close()
        elif self.waiting:
            following, keep_alive = self.waiting.popleft()
            self.serve(following, keep_alive=keep_alive)

    # What a player uses

    def write(self, data: bytes) -> None:
        """Writes bytes."""
        self.transport.write(data)

    async def drained(self) -> None:
        """Waits until the reader has caught up."""
        while self.paused and not self.transport.is_closing():
            self.resumed = self.loop.create_future()
            await self.resumed

    def close(self, *, reset: bool = False) -> None:
        """Closes the connection inside an answer, politely or with a reset."""
        if not reset:
            self.transport.close()
            return
        sock = cast("socket.socket", self.transport.get_extra_info("socket"))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        self.transport.abort()
