"""Gives an answer with everything that its knobs ask for: delays, cuts, faults."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from benchmarks.stub import wire
from benchmarks.stub.answer import Stream, Whole
from benchmarks.stub.cuts import cutter

if TYPE_CHECKING:
    from benchmarks.stub.connection import Connection
    from benchmarks.stub.record import Exchange
    from benchmarks.stub.routes import Reply

BREATH = 64  # chunks between two turns for the other connections
KILOBYTE = 1024
MALFORMED_HEADS = {
    "status": b"HTTP/1.1 banana OK\r\nContent-Length: 0\r\n\r\n",
    "header": b"HTTP/1.1 200 OK\r\nContent-Type application/json\r\nContent-Length: 2\r\n\r\n{}",
}
MALFORMED_JSON = b'{"model": nonsense\n'


class Cut(Exception):
    """The answer ends here, on purpose."""


class Player:
    """Plays one reply on one connection."""

    def __init__(self, connection: Connection, exchange: Exchange, reply: Reply) -> None:
        self.connection = connection
        self.exchange = exchange
        self.answer = reply.answer
        self.knobs = reply.knobs
        self.cut_payload = cutter(self.knobs.split, self.knobs.seed)
        self.cut_wire = cutter(self.knobs.tcp, self.knobs.seed + 1)
        self.held: list[bytes] = []

    async def play(self) -> None:
        """Gives the whole answer, or as much of it as the knobs allow; raises Cut when it must not be finished."""
        knobs = self.knobs
        await asyncio.sleep(knobs.first_delay_ms / 1000)
        if knobs.hang:
            await self._hang()
        if knobs.malformed in MALFORMED_HEADS:
            await self._send(MALFORMED_HEADS[knobs.malformed])
            self._close()
        if isinstance(self.answer, Whole):
            await self._whole(self.answer)
        else:
            await self._stream(self.answer)

    def _extra(self) -> tuple[tuple[str, str], ...]:
        knobs = self.knobs
        extra: tuple[tuple[str, str], ...] = (("Set-Cookie", "stub=1; Path=/"),) if knobs.cookie else ()
        extra += (("X-Huge", "x" * KILOBYTE * knobs.headers_kb),) if knobs.headers_kb else ()
        return extra + ((("Connection", "close"),) if knobs.close else ())

    async def _whole(self, answer: Whole) -> None:
        knobs = self.knobs
        if knobs.malformed == "json":
            answer = Whole(MALFORMED_JSON, answer.status, answer.content_type, answer.headers)
        raw = wire.whole(answer, self._extra(), body=self.exchange.method != "HEAD")
        half = len(raw) - len(answer.body) // 2 - 1
        if 0 in (knobs.die_after, knobs.reset_after):
            half = 0
        if knobs.hang_after is not None:
            await self._send(raw[:half])
            await self._hang()
        if knobs.malformed == "length" or knobs.die_after is not None or knobs.reset_after is not None:
            await self._send(raw[:half])
            self._close(reset=knobs.reset_after is not None)
        if knobs.header_pause_ms:
            body_at = len(raw) - len(answer.body)
            await self._send(raw[:body_at])
            await asyncio.sleep(knobs.header_pause_ms / 1000)
            raw = raw[body_at:]
        await self._send(raw)

    async def _stream(self, answer: Stream) -> None:
        knobs = self.knobs
        head = wire.stream_head(answer, self._extra())
        if knobs.header_pause_ms:
            await self._send(head)
            head = b""
            await asyncio.sleep(knobs.header_pause_ms / 1000)
        due = asyncio.get_running_loop().time()
        for events in answer.chunks:
            await self._fail_if_due(answer, head)
            await self._events(events, head)
            head = b""
            self.exchange.chunks += 1
            due += knobs.interval_ms / 1000
            await self._wait_until(due)
        await self._fail_if_due(answer, head)
        await self._events(answer.ending, head)
        await self._flush()
        if knobs.linger_ms:
            await asyncio.sleep(knobs.linger_ms / 1000)
        await self._send(wire.END)

    async def _wait_until(self, due: float) -> None:
        if self.knobs.interval_ms:
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        elif self.exchange.chunks % BREATH == 0:
            await asyncio.sleep(0)

    async def _fail_if_due(self, answer: Stream, head: bytes) -> None:
        """Goes wrong, if it is the moment for it; `head` is what was not sent yet."""
        knobs, count = self.knobs, self.exchange.chunks
        marks = (knobs.error_after, knobs.eof_after, knobs.die_after, knobs.reset_after, knobs.hang_after)
        garbles = knobs.malformed in ("chunk", "json") and count == 1
        if count not in marks and not garbles:
            return
        await self._flush()
        if count == knobs.hang_after:
            await self._send(head)
            await self._hang()
        if count in (knobs.die_after, knobs.reset_after):
            self._close(reset=count == knobs.reset_after)
        if garbles and knobs.malformed == "chunk":
            await self._send(head + b"zz\r\n")
            self._close()
        last = b""
        if count == knobs.error_after:
            last = b"".join(map(wire.chunk, answer.broken))
        elif count != knobs.eof_after:
            last = wire.chunk(MALFORMED_JSON)
        await self._send(head + last + wire.END)
        raise Cut

    async def _events(self, events: tuple[bytes, ...], head: bytes) -> None:
        for event in events:
            for piece in self.cut_payload(event) if self.cut_payload else (event,):
                self.held.append(head + wire.chunk(piece))
                head = b""
                if len(self.held) >= self.knobs.merge:
                    await self._flush()

    async def _flush(self) -> None:
        held, self.held = self.held, []
        if held:
            await self._send(b"".join(held))

    async def _send(self, data: bytes) -> None:
        """Writes bytes, in pieces if asked, and waits while the reader is behind."""
        cutting = self.cut_wire or self.cut_payload
        for piece in self.cut_wire(data) if self.cut_wire else (data,):
            if piece:
                self.connection.write(piece)
            if cutting:
                await asyncio.sleep(self.knobs.piece_ms / 1000)
            await self.connection.drained()

    async def _hang(self) -> None:
        await asyncio.get_running_loop().create_future()

    def _close(self, *, reset: bool = False) -> None:
        self.connection.close(reset=reset)
        raise Cut
