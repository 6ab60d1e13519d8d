"""OpenAI's surface, on /v1 and on the OpenAI paths of /api/v1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from gateway.rest import Refusal

# OpenAI's and Ollama's names for families of statuses; what is not here is the caller's fault below 500, else ours.
TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class OpenAI:
    """`{"error": {"message", "type", "param", "code"}}`."""

    name = "openai"
    id_header = ""
    context_exceeded = (
        "This model's maximum context length is {window} tokens. However, your messages resulted in about {tokens} "
        "tokens. Please reduce the length of the messages."
    )

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        """Returns the error body."""
        status = refusal.status_code
        kind = TYPES.get(status) or ("api_error" if refusal.is_fault else "invalid_request_error")
        text = refusal.client_text(request_id)
        return orjson.dumps({"error": {"message": text, "type": kind, "param": None, "code": refusal.kind}})

    def error_event(self, refusal: Refusal, request_id: str) -> bytes:
        """Returns the error body as an event; OpenAI's SDKs raise on it and read nothing after it."""
        return b"data: " + self.error(refusal, request_id) + b"\n\n"


OPENAI = OpenAI()
