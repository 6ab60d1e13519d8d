"""What Ollama's own refusals become before a client sees them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import orjson

from proxy.exceptions import MODELS_HINT, UpstreamRefusal

MAX_TEXT = 2000
# How often an error may be wrapped in another; Ollama does it once.
MAX_WRAPPINGS = 5
# What Ollama's router, and many another server, says of a path that it does not know.
NO_OLLAMA = "404 page not found"
HIGHEST_STATUS = 599
NOT_WELCOME = (
    "Ollama refuses the gateway itself, before it looks at a request: check OLLAMA_API_KEY here, and OLLAMA_HOST and "
    "OLLAMA_ORIGINS on its side."
)
ELSEWHERE = "What answers at Ollama's address does not know Ollama's paths: correct OLLAMA_URL."
MOVED = "Ollama's address answers with a redirect: correct OLLAMA_URL."


def upstream_refusal(status: int, body: bytes, model: str = "", target: str = "") -> UpstreamRefusal:
    """Turns an error answer of Ollama's into a refusal with the same status where that is honest.

    Ollama writes `{"error": "text"}`, on /v1 `{"error": {"message": …}}`, at times plain text or JSON within the text.
    `target` is the name by which it knows the client's `model`.
    """
    text = words(body)
    if target and target != model:
        text = text.replace(target, model)
    if status == HTTPStatus.NOT_FOUND and "model" in text and model:
        refusal = UpstreamRefusal(status, text, kind="model_not_found")
        refusal.hint = MODELS_HINT
        return refusal
    if status == HTTPStatus.NOT_FOUND and (text == NO_OLLAMA or (model and not text)):
        return UpstreamRefusal(HTTPStatus.BAD_GATEWAY, ELSEWHERE, kind="upstream_refused")
    if status == HTTPStatus.UNAUTHORIZED or (status == HTTPStatus.FORBIDDEN and not text):
        return UpstreamRefusal(HTTPStatus.BAD_GATEWAY, NOT_WELCOME, kind="upstream_refused")
    if status == HTTPStatus.FORBIDDEN:
        return UpstreamRefusal(HTTPStatus.BAD_GATEWAY, f"Ollama refuses: {text}", kind="upstream_refused")
    if status < HTTPStatus.BAD_REQUEST:
        return UpstreamRefusal(HTTPStatus.BAD_GATEWAY, MOVED, kind="upstream_refused")
    headers = {"Retry-After": "1"} if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE) else {}
    if status > HIGHEST_STATUS:
        status = HTTPStatus.BAD_GATEWAY
    return UpstreamRefusal(status, text or f"Ollama failed with status {status}: see its log.", headers=headers)


def words(body: bytes) -> str:
    """Finds the sentence in an error body."""
    text = sentence_in(body[: 2**20].decode(errors="replace"))
    return "" if text.startswith("<") else text  # a page of some other server


def sentence_in(value: Any) -> str:
    """Finds the sentence in an error: it may be wrapped in objects, and these in text again; "" where there is none."""
    for _ in range(MAX_WRAPPINGS):
        while isinstance(value, dict):
            value = value.get("error", value.get("message"))
        if not isinstance(value, str):
            return ""
        value = value.strip()
        if not value.startswith(("{", "[", '"')):
            break
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            break
    return value[:MAX_TEXT] if isinstance(value, str) else ""
