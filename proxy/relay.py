"""Passes an answer of Ollama on: whole, or as a stream frame by frame."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from django.http import StreamingHttpResponse

from proxy.call import DONE, FAILED, LENGTH, NEVER
from proxy.dialects.frames import FrameTooLong
from proxy.error_reason import note_error
from proxy.exceptions import UpstreamBroke, UpstreamError, UpstreamRefusal, UpstreamTimeout
from proxy.speed import speeds
from proxy.upstream import BROKEN
from usage.metrics import metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Self

    from gateway.rest import Refusal
    from proxy.call import Call, Facts
    from proxy.routes import Route
    from proxy.upstream import Answer

# An answer that is not streamed is held in memory whole, at most this large: a batch of embeddings takes some.
MAX_ANSWER_BYTES = 128 * 2**20
# A stream whose bytes are always there already must let others run now and then.
CHUNKS_A_TURN = 64
TOO_LONG = "Ollama sent a line that is too long to be passed on."


async def whole(answer: Answer, call: Call, idle: Idle) -> bytes:
    """Reads an answer to its end.  Raises UpstreamBroke when it breaks off or is larger than MAX_ANSWER_BYTES."""
    parts: list[bytes] = []
    size = 0
    try:
        while chunk := await answer.read():
            parts.append(chunk)
            size += len(chunk)
            call.outcome.answer_bytes = size
            if size > MAX_ANSWER_BYTES:
                raise UpstreamBroke("Ollama's answer is too large to be passed on: stream it, or ask for less.")
            call.wait_until(monotonic() + idle.seconds, idle.refusal)
    except BROKEN:
        raise UpstreamBroke from None
    answer.complete()
    return parts[0] if len(parts) == 1 else b"".join(parts)


class Outlet(Protocol):
    """A client's connection, as a stream's shortcut sees it."""

    def is_full(self) -> bool:
        """Tells whether nothing may be written now."""

    def write(self, frames: bytes) -> None:
        """Writes frames."""


class Idle:
    """How long Ollama may be silent within an answer, in seconds, and what a client hears after that."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def refusal(self) -> Refusal:
        """Returns what a client hears."""
        return UpstreamTimeout("UPSTREAM_IDLE_TIMEOUT", self.seconds)


class Relay:
    """The frames of one streamed answer, as an iterator for the response.

    It ends after the terminal mark, or after an error event; never cleanly without the mark.
    """

    def __init__(self, call: Call, route: Route, facts: Facts, answer: Answer | None, idle: Idle) -> None:
        self.call = call
        self.route = route
        self.answer = answer
        self.reader = call.reader = route.format.reader(facts)
        self.idle = idle
        self.count = 0
        self.over = False
        self.granted = call.admission.granted if call.admission is not None else NEVER
        self.outlet: Outlet | None = None  # where chunks may go without waking the call

    def __aiter__(self) -> Self:
        """Returns itself: a stream is read once."""
        return self

    async def __anext__(self) -> bytes:
        """Waits for the next whole frames that don't take the shortcut.

        Without a shortcut this runs for each chunk: what it awaits lies directly below.
        """
        if self.over:
            raise StopAsyncIteration
        call, idle, reader, answer = self.call, self.idle, self.reader, self.answer
        assert answer is not None  # noqa: S101 -- a relay that waits for its answer (proxy/patience.py) has it by now
        frames = b""
        while not frames and not self.over:
            self.count += 1
            if not self.count % CHUNKS_A_TURN:
                await asyncio.sleep(0)
            call.wait_until(monotonic() + idle.seconds, idle.refusal)
            try:
                # The first chunk has its time taken.
                chunk = await answer.read(self.shortcut if self.outlet is not None and self.count > 1 else None)
                frames = reader.feed(chunk) if chunk else reader.end()
            except (BROKEN, FrameTooLong) as error:
                too_long = isinstance(error, FrameTooLong)
                frames = self.fail(UpstreamBroke(TOO_LONG) if too_long else UpstreamBroke())
                break
            if self.count == 1 and chunk:
                self.begin()
            if not chunk and not reader.over:
                frames += self.fail(UpstreamBroke())
            elif reader.events > self.granted and not await self.extend(min(reader.tokens, reader.events)):
                frames = self.cut_short(frames, answer)
            elif reader.over:
                frames = self.end(frames, answer)
        # How long the client takes to read them is not Ollama's silence (gateway/protocol.py bounds it).
        call.wait_no_more()
        if not frames:
            raise StopAsyncIteration
        return frames

    def begin(self) -> None:
        """Takes note of the first bytes: from now on it is known that the model answers."""
        call = self.call
        call.outcome.first_byte = monotonic() - call.started
        if call.facts is not None and self.route.shape.cap is not None:
            speeds.note(call.facts.canonical, 0, 0)

    def shortcut(self, chunk: bytes) -> bool:
        """Passes on at once a chunk about which nothing has to be decided; returns whether it did.

        Most chunks go this way, from the upstream's socket to the client's without waking the call's task.
        """
        outlet, call = self.outlet, self.call
        if outlet is None or outlet.is_full():
            return False
        frames = self.reader.plain(chunk, self.granted)
        if frames is None:
            return False
        if frames:
            outlet.write(frames)
        call.outcome.sent_bytes += len(frames)
        call.deadline = monotonic() + self.idle.seconds
        return True

    def end(self, frames: bytes, answer: Answer) -> bytes:
        """Ends the stream behind its last frames, which may say that it failed."""
        if self.reader.failure is not None:
            return frames + self.fail(UpstreamRefusal(502, self.reader.failure, kind="upstream_failed"))
        answer.complete()
        self.finish(FAILED if self.reader.failed else DONE)
        return frames

    def cut_short(self, frames: bytes, answer: Answer) -> bytes:
        """Ends the stream where its budget does; Ollama would go on, so closing its connection stops it."""
        answer.close()
        frames = self.reader.cut_short(frames, int(self.granted))
        self.finish(LENGTH)
        return frames

    async def extend(self, tokens: int) -> bool:
        """Reserves more output, up to so many tokens; returns whether there was enough left."""
        admission = self.call.admission
        while admission is not None and admission.granted < tokens:
            more = admission.extend()
            if not (more if isinstance(more, bool) else await more):
                break
        if admission is not None and admission.granted > self.granted:
            admission.note_extended()
        self.granted = admission.granted if admission is not None else NEVER
        return self.granted >= tokens

    def fail(self, refusal: Refusal, ended: str = FAILED) -> bytes:
        """Ends the stream with an error event, and returns it."""
        if isinstance(refusal, UpstreamError):
            metrics.fail(refusal.kind)
        facts = self.reader.facts
        note_error(self.call.outcome, refusal, (facts.model, facts.target))
        self.finish(ended)
        return self.reader.error_event(self.route.surface, refusal, self.call.request_id)

    def finish(self, ended: str) -> None:
        """Marks the stream as over, and notes what it cost."""
        self.over = True
        self.call.outcome.ended = ended
        self.call.outcome.usage = self.reader.spent()
        # Before the last frames leave: what a client has seen to its end is in the account, whatever happens next.
        self.call.settle()
        # Whoever waits for a turn need not wait for this client to read.
        self.call.release()


class EventStream(StreamingHttpResponse):
    """A streamed answer; iterating it is iterating the relay itself, with nothing in between."""

    def __init__(self, relay: Relay, media_type: str) -> None:
        super().__init__((), content_type=media_type)
        self.relay = relay
        self.headers["Cache-Control"] = "no-cache"
        # nginx holds answers back unless it is told otherwise.
        self.headers["X-Accel-Buffering"] = "no"

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Returns the relay."""
        return self.relay
