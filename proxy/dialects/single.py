"""Answers that never stream: embeddings, and JSON that costs nothing."""

from __future__ import annotations

import math
import re

from proxy.call import UNCOUNTED, Usage
from proxy.dialects.base import WireFormat, cached, count, nanoseconds, object_of, parsed
from proxy.dialects.events import response_usage
from proxy.dialects.ndjson import LineReader
from proxy.estimate import TOKENS_A_SECOND

# Vectors are long and the count stands behind them: only the tail is looked at.
TAIL_BYTES = 1024
COUNTS = re.compile(
    rb'"(prompt_eval_count|prompt_tokens|prompt_eval_cached_count|cached_tokens|total_duration|load_duration)"'
    rb"\s*:\s*(\d{1,18})(?![\d.eE])"
)


class Embeddings(WireFormat):
    """Vectors, and a count of the prompt's tokens behind them where Ollama gives one."""

    media_type = "application/json"
    reader = LineReader

    def usage(self, body: bytes) -> Usage:
        """Reads the count and the durations (nanoseconds) at the answer's end."""
        tail = body[-TAIL_BYTES:]
        found = {name: int(number) for name, number in COUNTS.findall(tail)}
        prompt = count(found.get(b"prompt_eval_count", found.get(b"prompt_tokens")))
        return Usage(
            prompt,
            None if prompt is None else 0,
            total_duration=nanoseconds(found.get(b"total_duration")),
            load_duration=nanoseconds(found.get(b"load_duration")),
            cached_tokens=cached(found.get(b"prompt_eval_cached_count", found.get(b"cached_tokens")), prompt),
        )


class Transcription(WireFormat):
    """A recording's text, and its tokens or its length in seconds where these are told: Ollama 0.34 tells neither."""

    media_type = "application/json"
    reader = LineReader

    def usage(self, body: bytes) -> Usage:
        """Reads `usage`, as OpenAI has it: of the type `tokens`, or of the type `duration`."""
        said = object_of(parsed(body).get("usage"))
        seconds = said.get("seconds")
        if "input_tokens" in said or not isinstance(seconds, int | float) or isinstance(seconds, bool):
            return response_usage(said) if said else UNCOUNTED
        return Usage(count(math.ceil(seconds * TOKENS_A_SECOND)))


class Free(WireFormat):
    """An answer that costs no tokens."""

    media_type = "application/json"
    reader = LineReader

    def usage(self, body: bytes) -> Usage:  # noqa: ARG002 -- nothing in it counts
        """Returns zero."""
        return Usage(0, 0)
