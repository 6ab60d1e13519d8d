"""OpenAI's event streams of chat and completion chunks: `data: …` frames, then `data: [DONE]`.

Both dialects of chat chunks pass: Ollama's before 0.32.6 (role on every delta, finish reason with the last text) and
after it.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from proxy.call import UNCOUNTED, Usage
from proxy.dialects.base import Reader, WireFormat, cached, count, latest, object_of, parsed

DATA = b"data: "
DONE = b"data: [DONE]"
# Ollama writes one of these into every frame of a completion once the counts are asked for, the others from 0.34 on.
ZEROS = b',"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0'
ZERO_ENDS = frozenset(
    ZEROS + details + b"}}\n\n"
    for details in (
        b"",
        b',"prompt_tokens_details":{"cached_tokens":0}',
        b',"prompt_tokens_details":{}',
        b',"prompt_tokens_details":null',
    )
)
OBJECTS_END = b"}}\n\n"
USAGE = re.compile(rb'\s*,\s*"usage"\s*:\s*')
# A frame without any is there for the counts.
CHOICES = b'"choices":[{'


def usage_of(answer: dict[str, Any]) -> Usage:
    """Reads OpenAI's `usage` object."""
    usage = object_of(answer.get("usage"))
    prompt = count(usage.get("prompt_tokens"))
    kept = object_of(usage.get("prompt_tokens_details")).get("cached_tokens")
    return Usage(prompt, count(usage.get("completion_tokens")), cached_tokens=cached(kept, prompt))


def without_usage(frame: bytes, answer: dict[str, Any]) -> bytes:
    """Takes the counts out of a frame, and changes no other byte of it where they are its last member."""
    rest = {name: value for name, value in answer.items() if name != "usage"}
    start = max((found.start() for found in USAGE.finditer(frame)), default=0)
    # Elsewhere than at the end the same bytes are part of something else: what is left is then another object, or none.
    shorter = frame[:start] + b"}"
    if parsed(shorter.removeprefix(DATA)) == rest and "usage" in parsed(b"{" + frame[start:].lstrip(b", \t\r\n")):
        return shorter
    return DATA + orjson.dumps(rest)


class ChunkReader(Reader):
    """Relays chunks as they are, without counts that the client did not ask for."""

    separator = b"\n\n"
    # The end; the counts; a chunk of no model, which Ollama writes in place of an error that it lost; an error.
    marks = (b"data: [DONE]", b'"usage":', b'"model":""', b'"error":')

    def plain(self, chunk: bytes, most: float) -> bytes | None:
        """Takes the zeros off a frame of a completion that is plain without them."""
        if self.facts.hide_usage and chunk.endswith(OBJECTS_END) and chunk.count(CHOICES) == 1:
            start = chunk.rfind(b',"usage":{')
            if chunk[start:] in ZERO_ENDS:
                chunk = chunk[:start] + b"}" + self.separator
        return super().plain(chunk, most)

    def look(self, frame: bytes) -> bytes | None:
        """Reads the counts, and ends the stream at its mark or at what stands for an error."""
        if frame == DONE:
            self.over = True
            return frame
        if not self.marked(frame):
            return frame
        answer = parsed(frame.removeprefix(DATA))
        if answer.get("error") or answer.get("model") == "":
            self.fail(answer.get("error"))
            return None
        if not answer.get("usage"):
            return frame
        choices = answer.get("choices")
        usage = usage_of(answer)
        # Zeros beside a choice are no counts yet, and what was counted is never taken back.
        if usage.prompt_tokens or usage.completion_tokens or not (choices or self.usage is not UNCOUNTED):
            self.usage = latest(self.usage, usage)
        if not choices:
            if self.facts.hide_usage:
                return None
            self.events -= 1  # a frame of counts is no token
            return frame
        return without_usage(frame, answer) if self.facts.hide_usage else frame

    def length_end(self) -> bytes:
        """Returns a chunk with a `finish_reason` of `length`, the counts if they were asked for, and the end."""
        chunk = parsed(self.latest_frame().removeprefix(DATA))
        chunk.pop("usage", None)
        said: dict[str, Any] = {"delta": {}} if chunk.get("object") == "chat.completion.chunk" else {"text": ""}
        chunks = [{**chunk, "choices": [{"index": 0, **said, "finish_reason": "length"}]}]
        if not self.facts.hide_usage:
            prompt, completion = self.facts.prompt_estimate, self.events
            counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
            chunks.append({**chunk, "choices": [], "usage": counts})
        return b"".join(DATA + orjson.dumps(one) + self.separator for one in chunks) + DONE + self.separator


class Chunks(WireFormat):
    """Chunks of a chat or a completion."""

    reader = ChunkReader

    def usage(self, body: bytes) -> Usage:
        """Reads the counts of an answer in one object."""
        return usage_of(parsed(body))
