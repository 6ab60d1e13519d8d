"""JSON, times and names as Ollama writes them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any, NoReturn

from engine.errors import Refusal

SURROGATE = re.compile("[\ud800-\udfff]")
_GO_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def dumps(value: object) -> bytes:
    """Returns compact JSON with the escapes of Go's encoder."""
    # The escaped characters can only stand inside strings, so translating the whole text is safe.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_GO_ESCAPES).encode()


def loads(body: bytes) -> dict[str, Any]:
    """Returns the JSON object of a request's body.

    Bytes that are not UTF-8 and halves of surrogate pairs are U+FFFD, as for Go's decoder. Raises Refusal(400) when it
    is not one.
    """
    if not body.strip():
        raise Refusal(400, "missing request body")
    try:
        value = json.loads(body.decode(errors="replace"), parse_constant=_no_constant)
        value = without_surrogates(value)
    except (ValueError, RecursionError):
        raise Refusal(400, "invalid JSON in the request body") from None
    if not isinstance(value, dict):
        raise Refusal(400, "the request body must be a JSON object")
    return value


def without_surrogates(value: Any) -> Any:
    """Returns a JSON value with U+FFFD for each lone surrogate in its strings."""
    if isinstance(value, str):
        return SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {without_surrogates(name): without_surrogates(item) for name, item in value.items()}
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def timestamp() -> str:
    """Returns the present in RFC 3339 with a Z, trailing zeros trimmed."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".") + "Z"
