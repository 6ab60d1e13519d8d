"""OpenAI's event streams of chat and completion chunks: `data: …` frames, then `data: [DONE]`.

Both dialects of chat chunks pass: Ollama's before 0.32.6 (role on every delta, finish reason with the last text) and
after it.
"""

from __future__ import annotations

from typing import Any

import orjson

from proxy.call import Usage
from proxy.dialects.base import Reader, WireFormat, count, object_of, parsed

DATA = b"data: "
DONE = b"data: [DONE]"
# Ollama writes this into every frame of a completion once the counts are asked for.
ZERO_USAGE = b',"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}'
ZERO_END = ZERO_USAGE + b"\n\n"
# A frame without any is there for the counts.
CHOICES = b'"choices":[{'


def usage_of(answer: dict[str, Any]) -> Usage:
    """Reads OpenAI's `usage` object."""
    usage = object_of(answer.get("usage"))
    return Usage(count(usage.get("prompt_tokens")), count(usage.get("completion_tokens")))


class ChunkReader(Reader):
    """Relays chunks as they are, without counts that the client did not ask for."""

    separator = b"\n\n"
    # The end; the counts; a chunk of no model, which Ollama writes in place of an error that it lost; an error.
    marks = (b"data: [DONE]", b'"usage":', b'"model":""', b'"error":')

    def plain(self, chunk: bytes, most: float) -> bytes | None:
        """Takes the zeros off a frame of a completion that is plain without them."""
        if self.facts.hide_usage and chunk.endswith(ZERO_END) and chunk.count(CHOICES) == 1:
            chunk = chunk[: -len(ZERO_END)] + b"}" + self.separator
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
        if not answer.get("choices"):
            self.usage = usage_of(answer)
            if self.facts.hide_usage:
                return None
            self.events -= 1  # a frame of counts is no token
            return frame
        return self.without_usage(frame, answer) if self.facts.hide_usage else frame

    def without_usage(self, frame: bytes, answer: dict[str, Any]) -> bytes:
        """Takes the counts out of a frame that has text as well."""
        usage = usage_of(answer)
        if usage.completion_tokens:
            self.usage = usage
        if frame.endswith(ZERO_USAGE):
            return frame[: -len(ZERO_USAGE)] + b"}"
        del answer["usage"]
        return DATA + orjson.dumps(answer)

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
