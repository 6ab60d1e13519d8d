"""Anthropic's surface, on /v1/messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from gateway.rest import Refusal

TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


class Anthropic:
    """`{"type": "error", "error": {"type", "message"}, "request_id"}`."""

    name = "anthropic"
    id_header = "Request-Id"
    context_exceeded = "prompt is too long: {tokens} tokens > {window} maximum"

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        """Returns the error body."""
        status = refusal.status_code
        kind = TYPES.get(status) or ("api_error" if refusal.is_fault else "invalid_request_error")
        error = {"type": kind, "message": refusal.client_text(request_id)}
        return orjson.dumps({"type": "error", "error": error, "request_id": request_id})

    def error_event(self, refusal: Refusal, request_id: str) -> bytes:
        """Returns `event: error` with the error body as its data."""
        return b"event: error\ndata: " + self.error(refusal, request_id) + b"\n\n"


ANTHROPIC = Anthropic()
