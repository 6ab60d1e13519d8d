"""What Ollama's own refusals become before a client sees them."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

import orjson

from proxy.exceptions import MODELS_HINT, UNAVAILABLE, UpstreamError, UpstreamRefusal

VERSION = re.compile(r"\d[\w.+-]{0,63}")
NUMBERS = re.compile(r"\d{1,9}")
MAX_TEXT = 2000
# How often an error may be wrapped in another; Ollama does it once.
MAX_WRAPPINGS = 5
# What Ollama's router, and many another server, says of a path that it does not know.
NO_OLLAMA = "404 page not found"
HIGHEST_STATUS = 599
# The paths that Ollama had not from its first release on, and the first version that has each, where it is known.
SINCE = {
    "/api/embed": "",
    "/api/ps": "0.1.38",
    "/v1/audio/transcriptions": "0.20.0",
    "/v1/chat/completions": "0.1.24",
    "/v1/completions": "",
    "/v1/embeddings": "",
    "/v1/messages": "0.14.0",
    "/v1/models": "",
    "/v1/responses": "0.13.3",
}
NOT_WELCOME = (
    "Ollama refuses the gateway itself, before it looks at a request: check OLLAMA_API_KEY here, and OLLAMA_HOST and "
    "OLLAMA_ORIGINS on its side."
)
ELSEWHERE = "What answers at Ollama's address does not know Ollama's paths: correct OLLAMA_URL."
MOVED = "Ollama's address answers with a redirect: correct OLLAMA_URL."


def lacks_path(status: int, body: bytes) -> bool:
    """Tells whether an answer is what the router of an Ollama without this path says; another server says it too."""
    return status == HTTPStatus.NOT_FOUND and words(body) == NO_OLLAMA


def too_old(version: str, path: str) -> UpstreamError | None:
    """Returns the refusal of a path by an Ollama of this version, None unless it is too old to have the path."""
    since = SINCE.get(path)
    if since is None or not version or (since and numbers(version) >= numbers(since)):
        return None
    came = f"; it came with {since}" if since else ""
    message = f"Ollama {version} has no {path}{came}: update it."
    return UpstreamError(HTTPStatus.BAD_GATEWAY, message, kind="upstream_refused")


def version_in(body: bytes) -> str:
    """Returns the version in Ollama's answer to /api/version; raises ValueError where there is none."""
    said = orjson.loads(body)
    version = said.get("version") if isinstance(said, dict) else None
    if not isinstance(version, str) or not VERSION.fullmatch(version):
        raise ValueError("no version")
    return version


def numbers(version: str) -> list[int]:
    """Returns the numbers of a version, to compare it with others."""
    return [int(number) for number in NUMBERS.findall(version.partition("-")[0])[:3]]


def upstream_refusal(status: int, body: bytes, model: str = "", target: str = "") -> UpstreamError:
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
        return misdirected(ELSEWHERE)
    if status == HTTPStatus.UNAUTHORIZED or (status == HTTPStatus.FORBIDDEN and not text):
        return misdirected(NOT_WELCOME)
    if status == HTTPStatus.FORBIDDEN:
        return UpstreamRefusal(HTTPStatus.BAD_GATEWAY, f"Ollama refuses: {text}", kind="upstream_refused")
    if status < HTTPStatus.BAD_REQUEST:
        return misdirected(MOVED)
    headers = {"Retry-After": "1"} if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE) else {}
    if status > HIGHEST_STATUS:
        status = HTTPStatus.BAD_GATEWAY
    return UpstreamRefusal(status, text or f"Ollama failed with status {status}: see its log.", headers=headers)


def misdirected(message: str) -> UpstreamError:
    """Returns the refusal of a request that found no Ollama to serve it: the settings are wrong, not the request."""
    return UpstreamError(HTTPStatus.BAD_GATEWAY, message, kind="upstream_refused", public=UNAVAILABLE)


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
