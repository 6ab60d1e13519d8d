"""The gateway's own surface, on /api/v1 and wherever no other API lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.rest import error_body

if TYPE_CHECKING:
    from gateway.rest import Refusal


class Ours:
    """`{"error": "<type>", "message": "<what happened and what to do>"}`."""

    name = "gateway"
    id_header = ""
    context_exceeded = (
        "The prompt has about {tokens} tokens, and the context window of this model is {window}: send less, or ask the "
        "operator for a larger one (CONTEXT_WINDOW)."
    )

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        """Returns the error body."""
        return error_body(refusal, request_id)

    def error_event(self, refusal: Refusal, request_id: str) -> bytes:
        """Returns `event: error` with the error body as its data."""
        return b"event: error\ndata: " + self.error(refusal, request_id) + b"\n\n"


OURS = Ours()
