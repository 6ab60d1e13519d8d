"""OpenAI's event streams of chat and completion chunks: `data: …` frames, then `data: [DONE]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proxy.call import Usage
from proxy.dialects.base import count, parsed
from proxy.dialects.frames import Frames

if TYPE_CHECKING:
    from gateway.rest import Refusal
    from proxy.dialects.base import Surface

DONE = b"data: [DONE]"
# What Ollama writes in place of an error that it lost: a chunk of no model.
LOST = b'"model":""'
USAGE = b'"usage":{'
ERROR = b'data: {"error":'


def usage_of(answer: dict[str, Any]) -> Usage:
    """Reads OpenAI's `usage` object."""
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return Usage()
    return Usage(count(usage.get("prompt_tokens")), count(usage.get("completion_tokens")))


class ChunkReader:
    """Relays chunks as they are."""

    __slots__ = ("failure", "frames", "over", "usage")

    def __init__(self) -> None:
        self.frames = Frames(b"\n\n")
        self.over = False
        self.failure: str | None = None
        self.usage = Usage()

    def feed(self, chunk: bytes) -> bytes:
        """Returns the frames that are whole now, up to the one that ends the answer."""
        frames = self.frames.feed(chunk)
        if DONE in frames or LOST in frames or USAGE in frames or ERROR in frames:
            return self.upto_mark(frames)
        return frames

    def end(self) -> bytes:
        """Returns nothing: a frame without its end is no frame."""
        self.frames.end()
        return b""

    def upto_mark(self, frames: bytes) -> bytes:
        """Returns the frames up to the terminal mark, and notes what they say."""
        passed = 0
        for frame in frames.split(b"\n\n"):
            size = len(frame) + 2
            if frame == DONE:
                self.over = True
                return frames[: passed + size]
            if LOST in frame or USAGE in frame or frame.startswith(ERROR):
                answer = parsed(frame.removeprefix(b"data: "))
                if answer.get("model") == "" or "error" in answer:
                    self.failure = text_of(answer.get("error"))
                    self.over = True
                    return frames[:passed]
                if answer.get("choices") == []:
                    self.usage = usage_of(answer)
            passed += size
        return frames


def text_of(error: object) -> str:
    """Returns the words of an OpenAI error object, or of anything put in its place."""
    if isinstance(error, dict):
        error = error.get("message")
    return error if isinstance(error, str) else "Ollama's answer broke off before its end"


class Chunks:
    """Chunks of a chat or a completion."""

    media_type = "text/event-stream"

    def reader(self) -> ChunkReader:
        """Returns a reader for one stream."""
        return ChunkReader()

    def usage(self, body: bytes) -> Usage:
        """Reads the counts of an answer in one object."""
        return usage_of(parsed(body))

    def error_event(self, surface: Surface, refusal: Refusal, request_id: str) -> bytes:
        """Returns the error as the surface's event."""
        return surface.error_event(refusal, request_id)
