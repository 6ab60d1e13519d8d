"""Ollama's native streams: one JSON object a line, the last with `"done":true`, relayed as they are or as events."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from proxy.call import Usage
from proxy.dialects.base import count, parsed
from proxy.dialects.frames import Frames

if TYPE_CHECKING:
    from gateway.rest import Refusal
    from proxy.dialects.base import Surface

# A cheap look that a JSON string can't trip, since its quotes are escaped; only a hit is parsed.
MARK = re.compile(rb'"done"\s*:\s*true|"error"\s*:')


def usage_of(answer: dict[str, Any]) -> Usage:
    """Reads Ollama's counts and durations (nanoseconds); it leaves out what is zero."""
    if answer.get("done") is not True:
        return Usage()
    return Usage(
        prompt_tokens=count(answer.get("prompt_eval_count", 0)),
        completion_tokens=count(answer.get("eval_count", 0)),
        total_duration=count(answer.get("total_duration")),
        load_duration=count(answer.get("load_duration")),
        prompt_eval_duration=count(answer.get("prompt_eval_duration")),
        eval_duration=count(answer.get("eval_duration")),
    )


class LineReader:
    """Relays lines as they are."""

    __slots__ = ("failure", "frames", "over", "usage")

    def __init__(self) -> None:
        self.frames = Frames(b"\n")
        self.over = False
        self.failure: str | None = None
        self.usage = Usage()

    def feed(self, chunk: bytes) -> bytes:
        """Returns the lines that are whole now, up to the one that ends the answer."""
        lines = self.frames.feed(chunk)
        if lines and MARK.search(lines):
            lines = self.upto_mark(lines)
        return self.framed(lines)

    def end(self) -> bytes:
        """Returns a last line that came without its newline, as answers of one object do."""
        left = self.frames.end().strip()
        if not left or self.over:
            return b""
        return self.framed(self.upto_mark(left + b"\n"))

    def upto_mark(self, lines: bytes) -> bytes:
        """Returns the lines up to the terminal mark, and notes what it says."""
        passed = 0
        for line in lines.splitlines(keepends=True):
            if MARK.search(line):
                answer = parsed(line)
                if "error" in answer:
                    self.failure = str(answer["error"])
                    self.over = True
                    return lines[:passed]
                if answer.get("done") is True:
                    self.usage = usage_of(answer)
                    self.over = True
                    return lines[: passed + len(line)]
            passed += len(line)
        return lines

    def framed(self, lines: bytes) -> bytes:
        """Returns whole lines as this client reads them."""
        return lines


class EventReader(LineReader):
    """Relays each line as one server-sent event, its bytes unchanged."""

    __slots__ = ()

    def framed(self, lines: bytes) -> bytes:
        """Wraps each line into `data: …` and an empty line."""
        if not lines:
            return b""
        if b"\r" in lines or b"\n\n" in lines:
            lines = b"".join(line.strip() + b"\n" for line in lines.splitlines() if line.strip())
        return b"data: " + lines[:-1].replace(b"\n", b"\n\ndata: ") + b"\n\n"


class NDJSON:
    """Lines as Ollama wrote them."""

    media_type = "application/x-ndjson"

    def reader(self) -> LineReader:
        """Returns a reader for one stream."""
        return LineReader()

    def usage(self, body: bytes) -> Usage:
        """Reads the counts of an answer in one object."""
        return usage_of(parsed(body))

    def error_event(self, surface: Surface, refusal: Refusal, request_id: str) -> bytes:
        """Returns the error as a line of its own."""
        return surface.error(refusal, request_id) + b"\n"


class LinesAsEvents(NDJSON):
    """Lines as server-sent events."""

    media_type = "text/event-stream"

    def reader(self) -> EventReader:
        """Returns a reader for one stream."""
        return EventReader()

    def error_event(self, surface: Surface, refusal: Refusal, request_id: str) -> bytes:
        """Returns the error as the surface's event."""
        return surface.error_event(refusal, request_id)
