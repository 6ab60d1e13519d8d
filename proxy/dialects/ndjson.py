"""Ollama's native streams: one JSON object a line, relayed as they are or as server-sent events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

import orjson

from proxy.call import UNCOUNTED, Usage
from proxy.dialects.base import Reader, WireFormat, cached, count, latest, nanoseconds, parsed

# Nanoseconds, in the order of Usage's fields.
DURATIONS = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")
COUNTS = ("prompt_eval_count", "eval_count")


def has_counts(answer: dict[str, Any]) -> bool:
    """Tells whether an answer has any count."""
    return not answer.keys().isdisjoint(COUNTS)


def has_output(answer: dict[str, Any]) -> bool:
    """Tells whether an answer has something that a model wrote."""
    written = answer.get("message")
    parts = written if isinstance(written, dict) else answer
    return any(parts.get(name) for name in ("content", "response", "thinking", "tool_calls"))


def usage_of(answer: dict[str, Any], least: int | None) -> Usage:
    """Reads Ollama's counts and durations; counts that are left out are `least`."""
    prompt, output = (count(answer.get(name, least)) for name in COUNTS)
    # Since 0.34; absent where it is not known.
    kept = cached(answer.get("prompt_eval_cached_count"), prompt)
    total, load, reading, writing = (nanoseconds(answer.get(name)) for name in DURATIONS)
    return Usage(prompt, output, total, load, reading, writing, cached_tokens=kept)


class LineReader(Reader):
    """Relays lines as they are; the last has `"done":true`."""

    separator = b"\n"
    # As Go writes it, and as others do; a nested key looks the same, so a hit is parsed.  The third is a count's.
    marks: ClassVar[tuple[bytes, ...]] = (b'"done":true', b'"done": true', b'eval_count"', b'"error"')
    looked_at = 0  # lines of blocks with a mark

    def end(self) -> bytes:
        """Returns a last line that came without its newline, as answers of one object do; half a line is none."""
        left = self.frames.end().strip()
        return self.feed(left + b"\n") if parsed(left) else b""

    def look(self, frame: bytes) -> bytes | None:
        """Ends the stream with the last line, or with an error line, which does not pass."""
        if self.marked(frame):
            answer = parsed(frame)
            if "error" in answer:
                self.fail(answer["error"])
                return None
            if self.is_last(answer):
                self.over = True
            elif has_counts(answer):
                self.usage = latest(self.usage, usage_of(answer, None))
        self.looked_at += 1
        return frame

    def is_last(self, answer: dict[str, Any]) -> bool:
        """Tells whether a line is the last, and reads its counts.

        Ollama leaves out counts of zero; where an answer came, a line without any count is of one that does not count.
        """
        if answer.get("done") is not True:
            return False
        uncounted = not has_counts(answer) and (self.events or self.looked_at or has_output(answer))
        least = None if uncounted or self.usage is not UNCOUNTED else 0
        self.usage = latest(self.usage, usage_of(answer, least))
        return True

    def length_end(self) -> bytes:
        """Returns a last line with `done_reason` of `length`."""
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        chat = "message" in parsed(self.latest_frame())
        said: dict[str, Any] = {"message": {"role": "assistant", "content": ""}} if chat else {"response": ""}
        counts = {"prompt_eval_count": self.facts.prompt_estimate, "eval_count": self.events}
        line = {"model": self.facts.model, "created_at": now, **said, "done": True, "done_reason": "length", **counts}
        written: bytes = orjson.dumps(line)
        return written + b"\n"


def wrapped(lines: bytes) -> bytes:
    """Makes each line an event: `data: …` and an empty line."""
    if b"\r" in lines or b"\n\n" in lines or lines.startswith(b"\n"):
        lines = b"".join(line.strip() + b"\n" for line in lines.splitlines() if line.strip())
    return b"data: " + lines[:-1].replace(b"\n", b"\n\ndata: ") + b"\n\n" if lines else b""


class EventReader(LineReader):
    """Relays each line as one server-sent event, its bytes unchanged."""

    def feed(self, chunk: bytes) -> bytes:
        """Wraps the lines that are whole now, each into `data: …` and an empty line."""
        return wrapped(super().feed(chunk))

    def plain(self, chunk: bytes, most: float) -> bytes | None:
        """Wraps lines that are plain."""
        lines = super().plain(chunk, most)
        return None if lines is None else wrapped(lines)

    def length_end(self) -> bytes:
        """Returns the last line as an event."""
        return wrapped(super().length_end())

    @property
    def passed_separator(self) -> bytes:
        """What ends an event."""
        return b"\n\n"


class ProgressReader(LineReader):
    """Relays the lines of a pull, push or create; the last says `success`."""

    marks = (b'"success"', b'"error"')

    def is_last(self, answer: dict[str, Any]) -> bool:
        """Tells whether a line is the last."""
        return answer.get("status") == "success"


class NDJSON(WireFormat):
    """Lines as Ollama wrote them."""

    media_type = "application/x-ndjson"
    reader = LineReader

    def usage(self, body: bytes) -> Usage:
        """Reads the counts of an answer in one object; what it leaves out is zero as in a last line."""
        answer = parsed(body)
        is_zero = answer.get("done") is True and (has_counts(answer) or not has_output(answer))
        return usage_of(answer, 0 if is_zero else None)


class LinesAsEvents(NDJSON):
    """Lines as server-sent events."""

    media_type = "text/event-stream"
    reader = EventReader


class Progress(NDJSON):
    """Lines of progress, of no cost."""

    reader = ProgressReader

    def usage(self, body: bytes) -> Usage:  # noqa: ARG002 -- nothing in it counts
        """Returns zero."""
        return Usage(0, 0)
