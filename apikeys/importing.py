"""Makes keys of what other systems have: rows of a CSV or JSON file, and the predecessor's keys."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from apikeys import keys
from apikeys.expiry import parse_expiry
from apikeys.models import Allowance, Key
from apikeys.models.allowance import possible

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from apikeys.predecessor import OldKey

TEXTS = ("label", "team", "note", "scopes", "models", "routes", "addresses")
LABEL_LENGTH = 100


class CannotImport(ValueError):
    """A row can't become a key; the text says which and why."""


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Reads a CSV file with a head, or a JSON array of objects as `listapikeys --json` writes it.

    Raises CannotImport.
    """
    text = path.read_text(encoding="utf-8-sig")
    if text.lstrip().startswith(("[", "{")):
        try:
            found = json.loads(text)
        except json.JSONDecodeError as error:
            raise CannotImport(f"{path} is not valid JSON: {error}") from None
        rows = found if isinstance(found, list) else [found]
        if not all(isinstance(row, dict) for row in rows):
            raise CannotImport(f"{path} must be a JSON array of objects, one a key.")
        return rows
    return list(csv.DictReader(text.splitlines()))


def key_of(row: dict[str, Any]) -> Key:
    """Returns an unsaved key with a row's fields.

    A row with a `key` of the predecessor keeps that; others get a new secret.  Raises CannotImport.
    """
    key = Key(**{name: joined(row[name]) for name in TEXTS if row.get(name) not in (None, "", [])})
    if row.get("owner"):
        key.owner = get_user_model().objects.filter(username=row["owner"]).first()
        if key.owner is None:
            raise CannotImport(f"no user is called {row['owner']!r}")
    key.expires = expiry(row.get("expires"))
    key.body_limit = number("body_limit", row.get("body_limit"))
    listed = row.get("limits") or {}
    limits = {name: number(name, listed.get(name, row.get(name))) for name in Allowance.Dimension.values}
    key.new_limits = {name: amount for name, amount in limits.items() if amount}
    text = str(row.get("key") or "").strip()
    if not text:
        key.give_secret()
    elif keys.is_legacy(text):
        keep(key, text)
    else:
        raise CannotImport("its `key` is not of the form ollama_<hex>: leave it out, and it gets a new secret")
    check(key)
    return key


def key_of_old(old: OldKey) -> Key:
    """Returns an unsaved key that goes on working with the predecessor's secret."""
    label = "".join(letter for letter in old.label if letter.isprintable())[:LABEL_LENGTH].strip()
    key = Key(label=label or "Imported key", enabled=old.good, created=old.created or timezone.now())
    keep(key, old.text)
    check(key)
    return key


def keep(key: Key, text: str) -> None:
    """Gives an unsaved key an id, and the predecessor's secret, of which the digest alone is kept."""
    key.key_id = keys.generate().id
    key.digest = keys.digest(text, settings.KEY_PEPPER).hex()
    key.legacy = True


def known(made: Iterable[Key]) -> set[str]:
    """Returns the digests of these keys that are stored already: an import can be repeated."""
    digests = [key.digest for key in made]
    return set(Key.objects.filter(digest__in=digests).values_list("digest", flat=True)) | set(
        Key.objects.filter(old_digest__in=digests).values_list("old_digest", flat=True)
    )


def check(key: Key) -> None:
    """Raises CannotImport where a field is not what it must be."""
    try:
        key.full_clean()
        for dimension, amount in (key.new_limits or {}).items():
            possible(dimension, amount)
    except ValidationError as error:
        raise CannotImport(" ".join(error.messages)) from None


def joined(value: Any) -> str:
    """Returns a text, or a list as it is stored."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value).strip()


def expiry(value: Any) -> Any:
    """Returns when a row's key expires."""
    if not value:
        return None
    try:
        exact = parse_datetime(str(value))
        return exact if exact is not None and exact.tzinfo else parse_expiry(str(value), timezone.now())
    except ValueError as error:
        raise CannotImport(str(error)) from None


def number(name: str, value: Any) -> int | None:
    """Returns a whole number, None for nothing."""
    if value in (None, ""):
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        raise CannotImport(f"{name} is {value!r}, and not a whole number") from None
