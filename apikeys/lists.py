"""Lists that people type: scopes, models, routes, addresses, separated by commas or on lines of their own."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from django.core.exceptions import ValidationError

from gateway import context_window

# What a key may be good for.
SCOPES = {
    "inference": "ask models and list them",
    "manage": "fetch, make and delete models",
    "keys": "issue and change keys",
    "metrics": "read the metrics",
}
DIALECTS = ("gateway", "ollama", "openai", "anthropic")
MOST_PARTS = 100
LONGEST_QUOTED = 60
_separators = re.compile(r"[,\s]+")
_is_path = re.compile(r"/[A-Za-z0-9_./{}*-]{0,200}").fullmatch
_is_pattern = re.compile(r"[A-Za-z0-9_.:/*-]{1,350}").fullmatch


@lru_cache(maxsize=4096)
def parts(text: str) -> tuple[str, ...]:
    """Returns the list's parts, each once, in their order.  Equal texts share one tuple: many keys have the same."""
    return tuple(dict.fromkeys(part for part in _separators.split(text) if part))


def items(text: str) -> list[str]:
    """Returns the items of a typed list, an empty text for each that is missing between or after commas.

    Items stand between commas or on lines of their own; white space inside one stays.
    """
    found: list[str] = []
    for chunk in text.split(",") if text.strip() else ():
        found += [line.strip() for line in chunk.split("\n") if line.strip()] or [""]
    return found


@lru_cache(maxsize=256)
def scopes(text: str) -> frozenset[str]:
    """Returns the list's parts as a set; equal texts share one."""
    return frozenset(parts(text))


def joined(text: str) -> str:
    """Returns a list as it is stored: separated by commas alone."""
    return ",".join(parts(text))


def known_scopes(text: str) -> None:
    """Refuses an empty list, an empty item, and a scope that does not exist."""
    unknown = [part for part in parts(text) if part not in SCOPES]
    if unknown or not parts(text):
        what = f"Unknown scope {unknown[0]!r}" if unknown else "A key needs a scope"
        raise ValidationError(f"{what}: choose among {', '.join(SCOPES)}.")
    no_empty_items(text)


def model_patterns(text: str) -> None:
    """Refuses what can be no pattern of a model's name, and more of them than anybody needs."""
    no_empty_items(text)
    not_too_many(text)
    for item in items(text):
        if not (_is_pattern(item) and is_name_shaped(item)):
            spaced = " It has a space in it: separate models by commas." if len(item.split()) > 1 else ""
            raise ValidationError(
                f"{shortened(item)} is no model: write it like mistral, mistral:7b, llama3* or me/*.{spaced}"
            )


def is_name_shaped(pattern: str) -> bool:
    """Tells whether a pattern has the parts of a model's name: `[host[:port]/][namespace/]model[:tag]`, none empty."""
    *path, name = pattern.split("/")
    host = path[:1] if len(path) > 1 or (path and "." in path[0]) else []
    if not all(path) or any(":" in part for part in path[len(host) :]):
        return False
    return all(all(part.split(":")) and part.count(":") <= 1 for part in (*host, name))


def known_routes(text: str) -> None:
    """Refuses what is neither a dialect nor a path."""
    no_empty_items(text)
    not_too_many(text)
    for part in parts(text):
        if part not in DIALECTS and not _is_path(part):
            raise ValidationError(
                f"{part!r} is neither a dialect ({', '.join(DIALECTS)}) nor a path such as /api/chat or /v1/*."
            )


def networks(text: str) -> None:
    """Refuses what is neither an address nor a network."""
    no_empty_items(text)
    not_too_many(text)
    for part in parts(text):
        try:
            ipaddress.ip_network(part)
        except ValueError as error:
            raise ValidationError(f"{part!r} is no address or network: {error}.") from None


def no_empty_items(text: str) -> None:
    """Refuses an empty item: something is missing there, and a list of nothing but commas would allow everything."""
    if "" in items(text):
        raise ValidationError(f"{shortened(text)} has an empty item: remove the comma that is too many.")


def shortened(text: str) -> str:
    """Returns a quoted text for a message, cut where it is long."""
    return repr(text) if len(text) <= LONGEST_QUOTED else f"{text[:LONGEST_QUOTED]!r}…"


def team_problem(name: str) -> str:
    """Returns why a text can't be a team's name, in a sentence; nothing where it can."""
    if name.startswith(("team:", "owner:")):
        return f"{shortened(name)} is no team: write its name alone, without the prefix."
    if any(mark * 2 in name or name.startswith(mark) or name.endswith(mark) for mark in ",;"):
        return f"{shortened(name)} is no team: remove the commas that separate nothing."
    return ""


def storable(value: object) -> bool:
    """Tells whether a value's texts hold neither NUL nor half a surrogate pair, which databases refuse."""
    if isinstance(value, str):
        return not any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, list):
        return all(map(storable, value))
    if isinstance(value, dict):
        return all(storable(name) and storable(part) for name, part in value.items())
    return True


def window_rules(text: str) -> None:
    """Refuses what is not a rule for context windows."""
    try:
        context_window.parse(text)
    except ValueError as error:
        raise ValidationError(f"Invalid context window: write {error}.") from None


def not_too_many(text: str) -> None:
    """Refuses more parts than anybody needs: each costs a look on the way of a request."""
    if len(parts(text)) > MOST_PARTS:
        raise ValidationError(f"That are too many: list at most {MOST_PARTS}, with * for what they share.")
