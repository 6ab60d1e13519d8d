"""Tools that Ollama runs itself by asking its cloud: their declarations are removed where the cloud is off.

Ollama reads the declaration of a `web_search` tool and reaches ollama.com only when the model calls it.  Agents declare
it in every request (Codex CLI as `web_search`, Claude Code as `web_search_20250305`), so a request is served without
the tool, and refused only where its `tool_choice` leaves the model nothing else.
"""

from __future__ import annotations

from typing import Any

from proxy.exceptions import CloudRefused

PREFIXES = ("web_search", "web_fetch")
# Values of `tool_choice` (OpenAI's and Anthropic's) by which the model has to call a tool, whichever it likes.
ANY_TOOL = ("required", "any")


def remove_hosted_tools(payload: dict[str, Any], *, is_estimate: bool = False) -> list[str]:
    """Removes the tools from a request in place; returns what was removed, for people.

    Raises CloudRefused where `tool_choice` demands one of them, unless the request only asks for an estimate.
    """
    choice, declared = payload.get("tool_choice"), payload.get("tools")
    removed: list[dict[str, Any]] = []
    if isinstance(declared, list):
        payload["tools"] = kept = without_hosted(declared, removed)
        if removed and not kept:
            del payload["tools"]
    if choice is not None and not is_estimate:
        check_choice(choice, removed, payload.get("tools") or ())
    if removed and "tools" not in payload:
        payload.pop("tool_choice", None)  # APIs refuse a choice among no tools
    elif isinstance(choice, dict):
        remove_from_allowed(choice)
    return [f"tool {name_of(tool)} dropped" for tool in removed]


def without_hosted(tools: list[Any], removed: list[dict[str, Any]]) -> list[Any]:
    """Returns the tools that stay, and adds the others to `removed`; a namespace left empty goes as well."""
    kept: list[Any] = []
    for tool in tools:
        if is_hosted(tool):
            removed.append(tool)
            continue
        inner = tool.get("tools") if isinstance(tool, dict) else None
        if isinstance(inner, list):
            tool["tools"] = without_hosted(inner, removed)
            if inner and not tool["tools"]:
                continue
        kept.append(tool)
    return kept


def is_hosted(tool: Any) -> bool:
    """Tells whether a declaration, or an entry of `tool_choice`, is of a tool that asks the cloud."""
    kind = tool.get("type") if isinstance(tool, dict) else None
    return isinstance(kind, str) and kind.strip().lower().startswith(PREFIXES)


def name_of(tool: dict[str, Any]) -> str:
    """Returns a declaration's type, as far as a header can hold it."""
    kind = str(tool["type"]).strip()[:40]
    return "".join(character if character.isalnum() and character.isascii() else "_" for character in kind)


def check_choice(choice: Any, removed: list[dict[str, Any]], kept: Any) -> None:
    """Raises CloudRefused where a `tool_choice` is met by nothing but a tool that was removed."""
    if isinstance(choice, str):
        if choice.strip().lower().startswith(PREFIXES) or (choice in ANY_TOOL and removed and not kept):
            raise refusal(choice)
        return
    if not isinstance(choice, dict):
        return
    if is_hosted(choice) or (choice.get("type") in ANY_TOOL and removed and not kept):
        raise refusal(choice["type"])
    name = chosen_name(choice)
    if name is not None and name in names_in(removed) and name not in names_in(kept):
        raise refusal(name)
    allowed = allowed_in(choice)
    listed = allowed.get("tools")
    if allowed.get("mode") == "required" and isinstance(listed, list) and listed and all(map(is_hosted, listed)):
        raise refusal(str(listed[0]["type"]))


def remove_from_allowed(choice: dict[str, Any]) -> None:
    """Removes the tools from the list of a choice of `allowed_tools`; without any left the model calls none."""
    allowed = allowed_in(choice)
    listed = allowed.get("tools")
    if isinstance(listed, list):
        allowed["tools"] = [tool for tool in listed if not is_hosted(tool)]


def allowed_in(choice: dict[str, Any]) -> dict[str, Any]:
    """Returns what holds `mode` and `tools` of a choice of `allowed_tools`: an object within it on OpenAI's chat."""
    inner = choice.get("allowed_tools")
    return inner if isinstance(inner, dict) else choice


def chosen_name(choice: dict[str, Any]) -> str | None:
    """Returns the name of the one tool that a choice demands: `name` itself, in OpenAI's chat within `function`."""
    inner = choice.get("function")
    name = inner.get("name") if isinstance(inner, dict) else choice.get("name")
    return name if isinstance(name, str) else None


def names_in(tools: Any) -> set[str]:
    """Returns the names of declared tools, also of those within namespaces; a hosted tool has its type's."""
    names: set[str] = set()
    for tool in tools:
        if not isinstance(tool, dict):
            continue
        if is_hosted(tool):
            names.add(next(prefix for prefix in PREFIXES if str(tool["type"]).strip().lower().startswith(prefix)))
        names |= {name} if (name := chosen_name(tool)) is not None else set()
        names |= names_in(tool["tools"]) if isinstance(tool.get("tools"), list) else set()
    return names


def refusal(what: str) -> CloudRefused:
    """Returns what a client is told whose `tool_choice` demands such a tool."""
    return CloudRefused(
        f"'tool_choice' demands {what[:40]!r}, a tool that asks Ollama's cloud, which is off here (ALLOW_CLOUD): "
        "choose 'auto', or another tool."
    )
