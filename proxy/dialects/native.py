"""Ollama's own surface, on /api."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from gateway.rest import Refusal


class Native:
    """`{"error": "text"}`: Ollama's clients need a string there."""

    name = "ollama"
    id_header = ""
    context_exceeded = "the input length exceeds the context length: it has about {tokens} tokens, and {window} fit"

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        """Returns the error body."""
        return orjson.dumps({"error": refusal.client_text(request_id)})

    def error_event(self, refusal: Refusal, request_id: str) -> bytes:
        """Returns the error body as a line, which is how Ollama itself reports a failure within a stream."""
        return self.error(refusal, request_id) + b"\n"


NATIVE = Native()
