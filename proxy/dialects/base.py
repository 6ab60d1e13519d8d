"""What every surface and every wire format has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import orjson

from proxy.call import UNCOUNTED, Usage
from proxy.dialects.frames import Frames
from proxy.dialects.renamed import renamer
from proxy.refusals import sentence_in

if TYPE_CHECKING:
    from gateway.rest import Refusal
    from proxy.call import Facts

# What no answer can have: counts beyond these are an upstream's error, and count as not said.
MOST_TOKENS = 100_000_000
MOST_NANOSECONDS = 2**50  # some thirteen days
# So many frames may follow the counts of an answer that has ended: its last choice, an empty one, its terminal mark.
CLOSING_FRAMES = 3


class Surface(Protocol):
    """How we speak to a client outside a stream."""

    @property
    def name(self) -> str:
        """The dialect's name, for the log."""

    @property
    def context_exceeded(self) -> str:
        """What its clients are told of a prompt of so many `{tokens}` where `{window}` fit."""

    @property
    def id_header(self) -> str:
        """The header in which its clients look for a request's id, beside X-Request-ID; empty for none."""

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        """Returns a refusal as this client's error body, JSON."""

    def error_event(self, refusal: Refusal, request_id: str) -> bytes:
        """Returns a refusal as the last event of a stream."""


class Reader:
    """Reads one stream on its way through, frame by frame, and says when it is over.

    Most frames pass unread: only a block of frames that holds one of `marks` is looked at one by one.  A mark has
    quotes or line breaks that a JSON string can't hold unescaped, so what a model says is never taken for one.
    """

    separator: ClassVar[bytes]
    marks: ClassVar[tuple[bytes, ...]]

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.frames = Frames(self.separator)
        self.rename = renamer(facts.target, facts.model, self.separator) if facts.renamed else None
        self.over = False  # the terminal mark has been read: nothing may follow
        self.failed = False  # the stream itself said, in an event that passed, that it did not end well
        self.failure: str | None = None  # Ollama reported an error within the stream, in these words
        self.usage = UNCOUNTED
        self.foretold = (
            UNCOUNTED  # what a stream's beginning says of its prompt, for one that never comes to its counts
        )
        self.counted_at = 0  # how many frames had passed with the one that has the counts
        self.events = 0  # frames passed on: about one token each
        self.latest = b""  # the frames that were passed on last

    def feed(self, chunk: bytes) -> bytes:
        """Takes bytes of the upstream, returns bytes for the client: whole frames only."""
        block = self.frames.feed(chunk)
        if not block:
            return block
        for mark in self.marks:
            if mark in block:
                block = self.upto_mark(block)
                break
        self.events += block.count(self.separator)
        self.latest = block
        return block if self.rename is None else self.rename(block)

    def plain(self, chunk: bytes, most: float) -> bytes | None:
        """Does what `feed` does if these are whole frames without a mark, and no more than `most` with those before.

        Else it does nothing, and returns None.
        """
        if self.frames.rest or not chunk.endswith(self.separator):
            return None
        for mark in self.marks:
            if mark in chunk:
                return None
        events = self.events + chunk.count(self.separator)
        if events > most:
            return None
        self.events = events
        self.latest = chunk
        return chunk if self.rename is None else self.rename(chunk)

    def end(self) -> bytes:
        """Takes the upstream's end, returns the last bytes for the client: a frame without its end is none."""
        self.frames.end()
        return b""

    def upto_mark(self, block: bytes) -> bytes:
        """Returns the frames that pass, up to the one that ends the stream."""
        passed: list[bytes] = []
        for frame in block.split(self.separator)[:-1]:
            before = self.usage
            kept = self.look(frame)
            if kept is not None:
                passed.append(kept + self.separator)
            if self.usage is not before:
                self.counted_at = self.events + len(passed)
            if self.over:
                break
        return b"".join(passed)

    def look(self, frame: bytes) -> bytes | None:
        """Takes note of a frame; returns what passes of it, None for nothing."""
        raise NotImplementedError

    def marked(self, frame: bytes) -> bool:
        """Tells whether a frame holds a mark."""
        return any(mark in frame for mark in self.marks)

    def fail(self, text: object) -> None:
        """Takes note that Ollama reported an error: the stream is over, and not well."""
        self.over = True
        said = sentence_in(text) or "Ollama's answer broke off before its end."
        self.failure = said.replace(self.facts.target, self.facts.model) if self.facts.renamed else said

    @property
    def tokens(self) -> int:
        """How many tokens of output have come: Ollama's count where it said it, and one for each frame since."""
        counted = self.spent().completion_tokens
        return self.events if counted is None else counted

    def spent(self) -> Usage:
        """Returns what the answer has cost so far, as far as Ollama counted it.

        Counts that came before the end are as old as their frame: what came since is added, one for each frame.
        """
        usage = self.usage
        if usage.prompt_tokens is None and self.foretold.prompt_tokens is not None:
            usage = latest(self.foretold, usage)
        since = self.events - self.counted_at
        if usage.completion_tokens is None or since <= (CLOSING_FRAMES if self.over else 0):
            return usage
        return usage._replace(completion_tokens=usage.completion_tokens + since, estimated=True)

    def cut_short(self, frames: bytes, events: int) -> bytes:
        """Ends an answer for which no more tokens are left than so many events, as Ollama would end it.

        Returns what may pass of the last frames, and the end.
        """
        excess = self.events - events
        self.events = events
        self.usage = self.foretold = UNCOUNTED  # what Ollama counted is more than what is charged
        passed = frames.split(self.passed_separator)[:-1]
        kept = passed[: max(0, len(passed) - excess)]
        return b"".join(frame + self.passed_separator for frame in kept) + self.length_end()

    def length_end(self) -> bytes:
        """Returns the end of an answer that reached its cap."""
        raise NotImplementedError

    @property
    def passed_separator(self) -> bytes:
        """What ends a frame on its way to the client."""
        return self.separator

    def latest_frame(self) -> bytes:
        """Returns the last frame that was passed on, without its separator."""
        return self.latest.removesuffix(self.separator).rpartition(self.separator)[2]

    def error_event(self, surface: Surface, refusal: Refusal, request_id: str) -> bytes:
        """Returns a refusal as the stream's last words."""
        return surface.error_event(refusal, request_id)


class WireFormat:
    """How one kind of answer works: its framing, its terminal mark, its counts."""

    media_type: ClassVar[str] = "text/event-stream"
    reader: ClassVar[type[Reader]]

    def usage(self, body: bytes) -> Usage:
        """Returns what an answer that was not streamed says it cost."""
        raise NotImplementedError

    def mend(self, body: bytes) -> bytes:
        """Returns an answer that was not streamed without what its clients can't bear."""
        return body


def parsed(frame: bytes) -> dict[str, Any]:
    """Parses a frame that Ollama wrote; anything but a JSON object counts as an empty one."""
    try:
        value = orjson.loads(frame)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def count(value: object, most: int = MOST_TOKENS) -> int | None:
    """Returns a count of tokens, None where it is not a whole number that can be one."""
    return value if type(value) is int and 0 <= value <= most else None


def nanoseconds(value: object) -> int | None:
    """Returns a duration, None where it is not a whole number that can be one."""
    return count(value, MOST_NANOSECONDS)


def cached(value: object, prompt: int | None) -> int | None:
    """Returns how many of the prompt's tokens came from a cache, None where that is not known."""
    said = count(value)
    return said if said is None or prompt is None else min(said, prompt)


def latest(earlier: Usage, later: Usage) -> Usage:
    """Returns counts as the later of two frames says them; what it leaves out is what the earlier one said."""
    if earlier is UNCOUNTED:
        return later
    merged = Usage._make(new if new is not None else old for old, new in zip(earlier, later, strict=True))
    return merged._replace(cached_tokens=cached(merged.cached_tokens, merged.prompt_tokens))


def object_of(value: object) -> dict[str, Any]:
    """Returns a JSON object, an empty one where the value is something else."""
    return value if isinstance(value, dict) else {}
