"""Lists that people type: scopes, models, routes, addresses, separated by commas or on lines of their own."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from django.core.exceptions import ValidationError

# What a key may be good for.
SCOPES = {
    "inference": "ask models and list them",
    "manage": "fetch, make and delete models",
    "keys": "issue and change keys",
    "metrics": "read the metrics",
}
DIALECTS = ("gateway", "ollama", "openai", "anthropic")
MOST_PARTS = 100
_separators = re.compile(r"[,\s]+")
_is_path = re.compile(r"/[A-Za-z0-9_./{}*-]{0,200}").fullmatch
_is_pattern = re.compile(r"[A-Za-z0-9_.:/*-]{1,350}").fullmatch


@lru_cache(maxsize=4096)
def parts(text: str) -> tuple[str, ...]:
    """Returns the list's parts, each once, in their order.  Equal texts share one tuple: many keys have the same."""
    return tuple(dict.fromkeys(part for part in _separators.split(text) if part))


@lru_cache(maxsize=256)
def scopes(text: str) -> frozenset[str]:
    """Returns the list's parts as a set; equal texts share one."""
    return frozenset(parts(text))


def joined(text: str) -> str:
    """Returns a list as it is stored: separated by commas alone."""
    return ",".join(parts(text))


def known_scopes(text: str) -> None:
    """Refuses an empty list, and a scope that does not exist."""
    unknown = [part for part in parts(text) if part not in SCOPES]
    if unknown or not parts(text):
        what = f"{unknown[0]!r} is no scope" if unknown else "A key needs a scope"
        raise ValidationError(f"{what}: choose among {', '.join(SCOPES)}.")


def model_patterns(text: str) -> None:
    """Refuses what can be no pattern of a model's name, and more of them than anybody needs."""
    not_too_many(text)
    for part in parts(text):
        if not _is_pattern(part):
            raise ValidationError(f"{part!r} is no model: write it like mistral, mistral:7b, llama3* or me/*.")


def known_routes(text: str) -> None:
    """Refuses what is neither a dialect nor a path."""
    not_too_many(text)
    for part in parts(text):
        if part not in DIALECTS and not _is_path(part):
            raise ValidationError(
                f"{part!r} is neither a dialect ({', '.join(DIALECTS)}) nor a path such as /api/chat or /v1/*."
            )


def networks(text: str) -> None:
    """Refuses what is neither an address nor a network."""
    not_too_many(text)
    for part in parts(text):
        try:
            ipaddress.ip_network(part)
        except ValueError as error:
            raise ValidationError(f"{part!r} is no address or network: {error}.") from None


def not_too_many(text: str) -> None:
    """Refuses more parts than anybody needs: each costs a look on the way of a request."""
    if len(parts(text)) > MOST_PARTS:
        raise ValidationError(f"That are too many: list at most {MOST_PARTS}, with * for what they share.")
