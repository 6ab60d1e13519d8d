"""What Ollama's own refusals become before a client sees them."""

from __future__ import annotations

from typing import Any

import orjson

from proxy.exceptions import UpstreamRefusal

MAX_TEXT = 2000


def upstream_refusal(status: int, body: bytes, model: str) -> UpstreamRefusal:
    """Turns an error answer of Ollama's into a refusal with the same status where that is honest.

    Ollama writes `{"error": "text"}`, on /v1 `{"error": {"message": …}}`, at times plain text or JSON within the text.
    """
    text = words(body)
    if status == 404 and "model" in text:
        return UpstreamRefusal(
            404,
            f"{text}. GET /api/tags on that Ollama lists its models; `ollama pull {model}` adds one."
            if not text.endswith(".")
            else text,
            kind="model_not_found",
        )
    if status in (401, 403):
        return UpstreamRefusal(
            502,
            "Ollama refuses the gateway itself: check OLLAMA_API_KEY, and OLLAMA_HOST and OLLAMA_ORIGINS on its side.",
            kind="upstream_refused",
        )
    if status < 400:
        return UpstreamRefusal(502, "Ollama answered with a redirect: correct OLLAMA_URL.", kind="upstream_refused")
    headers = {"Retry-After": "1"} if status in (429, 503) else {}
    return UpstreamRefusal(status, text or f"Ollama failed with status {status}: see its log.", headers=headers)


def words(body: bytes) -> str:
    """Finds the sentence in an error body."""
    text: Any = body[: 2**20].decode(errors="replace").strip()
    for _ in range(4):
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            break
        while isinstance(value, dict):
            value = value.get("error", value.get("message"))
        if not isinstance(value, str):
            return ""
        text = value.strip()
    return str(text)[:MAX_TEXT]
