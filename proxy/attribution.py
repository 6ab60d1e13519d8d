"""The attribution line that Claude Code puts before its system prompt: removed, since it changes with every turn.

    x-anthropic-billing-header: cc_version=2.1.37.abc; cc_entrypoint=cli; cch=8f3e1;

It is meant for Anthropic's billing.  Ollama takes it for text, and a prompt whose first line differs from the one
before shares no prefix with it: the prompt cache is void, and every turn reads the whole conversation again.
"""

from __future__ import annotations

import re
from typing import Any

PREFIX = "x-anthropic-billing-header:"
# Nothing but pairs behind it; anything else that begins so is somebody's prompt.
PAIRS = re.compile(r"[ \t]*[\w.-]+=[^;]*(?:;[ \t]*[\w.-]+=[^;]*)*;?[ \t]*", re.ASCII)
MAX_LINE = 500
CHANGED = "system: x-anthropic-billing-header dropped"


def remove_attribution(payload: dict[str, Any]) -> list[str]:
    """Removes the line from the beginning of `system` in place; returns what was changed, for people.

    It is a block of its own in a list of blocks, or the first line of a text.
    """
    system = payload.get("system")
    if isinstance(system, str):
        rest = without_line(system)
        if rest == system:
            return []
        payload["system"] = rest
    elif isinstance(system, list) and system and isinstance(system[0], dict):
        text = system[0].get("text")
        if not isinstance(text, str) or system[0].get("type") != "text":
            return []
        rest = without_line(text)
        if rest == text:
            return []
        payload["system"] = [{**system[0], "text": rest}, *system[1:]] if rest else system[1:]
    else:
        return []
    if not payload["system"]:
        del payload["system"]
    return [CHANGED]


def without_line(text: str) -> str:
    """Returns a text without the line and the blank lines below it, if it begins with them."""
    if not text.startswith(PREFIX):
        return text
    line, _, rest = text.partition("\n")
    pairs = line.removeprefix(PREFIX).removesuffix("\r")
    return rest.lstrip("\r\n") if len(line) <= MAX_LINE and PAIRS.fullmatch(pairs) else text
