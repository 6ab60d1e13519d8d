"""What a request for usage asks for: its query, read and refused with a word on what to write instead."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from gateway.rest import Refusal
from usage.reports import COLUMNS, Question
from usage.spans import parse_day

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from apikeys.principal import Principal

ALL = "all"
DAYS = 30
PAGE = 1000
LARGEST_PAGE = 5000
PARAMETERS = ("since", "until", "by", "key", "owner", "team", "model", "route", "format", "page_size", "after")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with the form of its answer, and the part of it."""

    question: Question
    own: bool
    csv: bool
    page_size: int
    after: list[Any] | None


def asked(query: Mapping[str, str], principal: Principal) -> Asked:
    """Reads a query; raises Refusal for one that makes no sense, or asks for more than the key may see."""
    unknown = next((name for name in query if name not in PARAMETERS), None)
    if unknown is not None:
        raise bad(f"{unknown!r} is no parameter here: choose among {', '.join(PARAMETERS)}.")
    if any("\0" in value for value in query.values()):
        raise bad("A query holds no NUL characters.")
    key = query.get("key") or principal.key_id
    others = key != principal.key_id
    if (others or "owner" in query or "team" in query) and "keys" not in principal.scopes:
        raise Refusal(403, "This key may see its own usage only: to see that of others it needs the scope `keys`.")
    until = day(query, "until") or datetime.now(UTC).date()
    since = day(query, "since") or until - timedelta(days=DAYS - 1)
    if since > until:
        raise bad(f"since ({since}) comes after until ({until}): swap them.")
    by = parts(query, "day,key,model" if key == ALL else "day,model")
    only: dict[str, Any] = {} if key == ALL else {"key": key}
    if "owner" in query:
        only["owner"] = number(query, "owner", 0, 2**62)
    only |= {name: query[name] for name in ("team", "model", "route") if name in query}
    form = query.get("format", "json")
    if form not in ("json", "csv"):
        raise bad(f"There is no format {form!r}: choose json or csv.")
    return Asked(
        Question(since, until, by, only),
        own=not others,
        csv=form == "csv",
        page_size=number(query, "page_size", 1, LARGEST_PAGE) if "page_size" in query else PAGE,
        after=values(query["after"], by) if query.get("after") else None,
    )


def parts(query: Mapping[str, str], default: str) -> tuple[str, ...]:
    """Returns what usage is to be told apart by."""
    by = tuple(dict.fromkeys(part.strip() for part in query.get("by", default).split(",") if part.strip()))
    unknown = next((name for name in by if name not in COLUMNS), None)
    if unknown is not None or not by:
        raise bad(f"by={query.get('by')!r} is not possible: list one or more of {', '.join(COLUMNS)}.")
    return by


def day(query: Mapping[str, str], name: str) -> date | None:
    """Returns a day."""
    try:
        return parse_day(query[name]) if query.get(name) else None
    except ValueError as error:
        raise bad(f"{name}: {error}.") from None


def number(query: Mapping[str, str], name: str, least: int, most: int) -> int:
    """Returns a whole number."""
    text = query[name]
    if not (text.isascii() and text.isdecimal() and len(text) < len(str(2**63)) and least <= int(text) <= most):
        raise bad(f"{name}={text!r} is not possible: write a whole number from {least} to {most}.")
    return int(text)


def cursor(about: Sequence[Any]) -> str:
    """Returns what asks for the lines after this one."""
    text = json.dumps([str(value) if isinstance(value, date) else value for value in about])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def values(text: str, by: Sequence[str]) -> list[Any]:
    """Returns the line that a cursor stands for."""
    try:
        found = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        return [value_of(name, value) for name, value in zip(by, found, strict=True)]
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise bad("'after' is not one of ours: take it from the answer before, with the same 'by'.") from None


def value_of(name: str, value: Any) -> Any:
    """Returns a value as its column has it; raises ValueError or TypeError for one that it can't have."""
    if name == "day":
        return parse_day(value)
    if isinstance(value, bool) or not isinstance(value, int if name == "owner" else str):
        raise TypeError(name)
    if isinstance(value, int) and not 0 <= value < 2**63:
        raise ValueError(name)
    if isinstance(value, str) and "\0" in value:
        raise ValueError(name)
    return value


def bad(message: str) -> Refusal:
    """Returns the refusal of a query."""
    return Refusal(400, message)
