"""Answers that never stream: embeddings, and JSON that costs nothing."""

from __future__ import annotations

import re

from proxy.call import Usage
from proxy.dialects.base import WireFormat
from proxy.dialects.ndjson import LineReader

# Vectors are long and the count stands behind them: only the tail is looked at.
TAIL_BYTES = 1024
PROMPT_TOKENS = re.compile(rb'"(?:prompt_eval_count|prompt_tokens)"\s*:\s*(\d{1,18})')


class Embeddings(WireFormat):
    """Vectors, and a count of the prompt's tokens behind them where Ollama gives one."""

    media_type = "application/json"
    reader = LineReader

    def usage(self, body: bytes) -> Usage:
        """Reads the count at the answer's end."""
        found = PROMPT_TOKENS.search(body[-TAIL_BYTES:])
        return Usage(int(found[1]), 0) if found else Usage()


class Free(WireFormat):
    """An answer that costs no tokens."""

    media_type = "application/json"
    reader = LineReader

    def usage(self, body: bytes) -> Usage:  # noqa: ARG002 -- nothing in it counts
        """Returns zero."""
        return Usage(0, 0)
