"""Answers kept ready as bytes, so that the stub costs next to nothing when the same request comes again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.stub import stamps, wire
from benchmarks.stub.answer import Whole

if TYPE_CHECKING:
    from benchmarks.stub.routes import Reply

READY_MOST = 256


@dataclass(frozen=True, slots=True)
class Ready:
    """The bytes that answer one request body; `interval` in seconds, `pieces` are each a write."""

    body: bytes
    route: str
    pieces: tuple[bytes, ...]
    interval: float
    chunks: int
    stamped: bool = False

    def piece(self, index: int, due: float) -> bytes:
        """Returns a piece, with the moment at which it was due where its tokens tell it."""
        piece = self.pieces[index]
        return piece.replace(stamps.BLANK, stamps.stamp(due)) if self.stamped else piece


def prepare(body: bytes, route: str, reply: Reply) -> Ready:
    """Writes an ordinary reply once and for all."""
    answer = reply.answer
    if isinstance(answer, Whole):
        return Ready(body, route, (wire.whole(answer, (), body=True),), 0, 0)
    chunks = [b"".join(map(wire.chunk, events)) for events in answer.chunks]
    pieces = [*chunks, b"".join(map(wire.chunk, answer.ending)) + wire.END]
    pieces[0] = wire.stream_head(answer, ()) + pieces[0]
    interval = reply.knobs.interval_ms / 1000
    sent = tuple(pieces) if interval else (b"".join(pieces),)
    return Ready(body, route, sent, interval, len(chunks), bool(reply.knobs.stamp and interval))
