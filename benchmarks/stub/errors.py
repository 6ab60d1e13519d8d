"""How Ollama says no, on each of its surfaces."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

from benchmarks.stub.answer import JSON, PLAIN, Whole
from benchmarks.stub.gojson import encode

if TYPE_CHECKING:
    from benchmarks.stub.refusal import Refusal

Surface = Literal["native", "openai", "anthropic"]

BUSY = "server busy, please try again.  maximum pending requests exceeded"
CRASHED = "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error"
LOST = "an error was encountered while running the model: unexpected EOF"
TOO_LONG = "the prompt is longer than the context window of this model"
RUNNER_TOO_LONG = (
    '{"error":{"code":400,"message":"request (9000 tokens) exceeds the available context size (4096 tokens)",'
    '"type":"exceed_context_size_error","n_prompt_tokens":9000,"n_ctx":4096}}'
)
TEXTS = {
    400: "invalid request",
    401: "unauthorized",
    403: "ollama cloud is disabled: remote model is unavailable",
    404: "model 'missing' not found",
    429: "too many requests",
    499: "request canceled",
    500: CRASHED,
    502: "upstream unreachable",
    503: BUSY,
}
OPENAI_TYPES = {400: "invalid_request_error", 404: "not_found_error"}
ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


def shaped(refusal: Refusal, surface: Surface) -> Whole:
    """Writes a refusal in its surface's shape, as bytes on the wire."""
    status, text = refusal.status, refusal.text
    if refusal.plain or not text:
        return Whole(text.encode(), status, PLAIN if text else None, refusal.headers)
    if surface == "openai":
        kind = OPENAI_TYPES.get(status, "api_error")
        error = {"message": text, "type": kind, "param": None, "code": None}
        return Whole(encode({"error": error}) + b"\n", status, "application/json", refusal.headers)
    if surface == "anthropic":
        kind = ANTHROPIC_TYPES.get(status, "api_error")
        body = {"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_" + "0a" * 12}
        return Whole(encode(body) + b"\n", status, "application/json", refusal.headers)
    native = {"error": text}
    if status == HTTPStatus.UNAUTHORIZED:
        native["signin_url"] = "https://ollama.com/connect?name=stub&key=c3R1Yg"
    return Whole(encode(native), status, JSON, refusal.headers)
