"""The most tokens that an answer may have: where each kind of request says it."""

from __future__ import annotations

from functools import cache
from typing import Any

# Ollama's own API has the cap among its options.
OPTION = "num_predict"

# The names that caps have in all dialects, and in what may stand in an Ollama's place.
NAMES = (OPTION, "n_predict", "max_tokens", "max_completion_tokens", "max_output_tokens")

# Ollama makes an int of the cap; what does not fit is no cap.
MOST = 2**63 - 1


@cache
def foreign(field: str) -> tuple[str, ...]:
    """Returns the fields that are caps elsewhere: where Ollama reads `field`, something else may still obey them."""
    return tuple(name for name in NAMES if name != field or field == OPTION)


def cap_of(payload: dict[str, Any], field: str | None) -> int | None:
    """Returns the cap that a request asks for; None where it asks for none, a negative one or one beyond all bounds."""
    holder = payload.get("options") if field == OPTION else payload
    asked = holder.get(field) if isinstance(holder, dict) and field is not None else None
    if isinstance(asked, bool) or not isinstance(asked, int | float):
        return None
    return int(asked) if 1 <= asked <= MOST else None


def set_cap(payload: dict[str, Any], field: str, tokens: int) -> str:
    """Sets the cap; returns what was changed, for people."""
    if field != OPTION:
        payload[field] = tokens
        return f"{field}={tokens}"
    payload["options"] = {**(payload.get("options") or {}), OPTION: tokens}
    return f"options.{OPTION}={tokens}"
