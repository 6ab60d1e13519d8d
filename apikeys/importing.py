"""Reads keys from a CSV or JSON file, and from the predecessor's database; what is not understood is refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.utils import timezone

from apikeys import keys, lists
from apikeys.expiry import parse_expiry
from apikeys.importfile import CannotImport, Row, shown
from apikeys.models import Allowance, Key
from apikeys.models.allowance import possible
from apikeys.models.queryset import present_pepper
from apikeys.unicode_text import is_visible, without_forbidden

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from apikeys.predecessor import OldKey

LIMITS = tuple(Allowance.Dimension.values)
LISTS = ("scopes", "models", "routes", "addresses", "context_window", "keyless_networks")
# All that `listapikeys --json` writes; `key`, the secret of a key of the predecessor; and limits without `limits`.
FIELDS = (
    "id",
    "label",
    "state",
    "owner",
    "team",
    "note",
    *LISTS,
    "allow_in_path",
    "body_limit",
    "limits",
    "enabled",
    "expires",
    "created",
    "last_used",
    "revoked",
    "old_secret_until",
    "legacy",
    "key",
    *LIMITS,
)
COLUMNS = tuple(name for name in FIELDS if name != "limits")
LABEL_LENGTH = 100
SOFT_BREAK = re.compile("[\x0b\x0c\x85\u2028\u2029]")
TRUE, FALSE = ("true", "yes", "1"), ("false", "no", "0")


def key_of(row: Row) -> Key:
    """Returns an unsaved key that may do exactly what a row says.

    A row with a `key` of the predecessor keeps that secret; others get a new one, and keep their id where it is free.
    Raises CannotImport.
    """
    values = row.values
    key = Key(
        label=text("label", values.get("label")).strip(),
        team=text("team", values.get("team")).strip(),
        note=text("note", values.get("note")),
        owner=owner(text("owner", values.get("owner")).strip()),
        allow_in_path=flag("allow_in_path", values.get("allow_in_path")) or False,
        body_limit=number("body_limit", values.get("body_limit")),
    )
    for name in LISTS:
        given = values.get(name)
        if name == "scopes" and given == []:
            raise CannotImport("scopes is an empty list, and a key needs a scope")
        if given not in (None, ""):
            setattr(key, name, listed(name, given))
    key.new_limits = limits(values)
    key.created = moment("created", values.get("created")) or key.created
    key.last_used = moment("last_used", values.get("last_used"))
    for ignored in ("old_secret_until", "legacy"):
        well_formed = moment if ignored == "old_secret_until" else flag
        well_formed(ignored, values.get(ignored))
    give_state(key, values)
    give_secret(key, values)
    check(key)
    return key


def key_of_old(old: OldKey) -> Key:
    """Returns an unsaved key that goes on working with the predecessor's secret."""
    label = without_forbidden(old.label)[:LABEL_LENGTH].strip()
    key = Key(
        label=label if is_visible(label) else "Imported key", enabled=old.good, created=old.created or timezone.now()
    )
    keep(key, old.text)
    check(key)
    return key


def give_state(key: Key, values: dict[str, Any]) -> None:
    """Gives a key its state and end; raises CannotImport where `state`, `enabled`, `revoked` and `expires` differ."""
    state = text("state", values.get("state")).strip()
    if state not in ("", *Key.State.values):
        raise CannotImport(f"state is {shown(state)}: choose among {', '.join(Key.State.values)}")
    enabled = flag("enabled", values.get("enabled"))
    revoked = moment("revoked", values.get("revoked"))
    # A file that tells the state may hold keys that have ended; a person who writes a past date has mistyped it.
    key.expires = moment("expires", values.get("expires")) if state else expiry(values.get("expires"))
    key.may_be_expired = bool(state)
    if state == Key.State.REVOKED:
        revoked = revoked or timezone.now()
    elif revoked is not None and state:
        raise CannotImport(f"state is {state!r}, but revoked has a time")
    if state == Key.State.EXPIRED and (key.expires is None or key.expires > timezone.now()):
        raise CannotImport("state is 'expired', but expires has no time in the past")
    if (state == Key.State.ACTIVE and enabled is False) or (state == Key.State.DISABLED and enabled):
        raise CannotImport(f"state is {state!r}, but enabled is {str(enabled).lower()}")
    key.enabled = state != Key.State.DISABLED if enabled is None else enabled
    key.revoked_at = revoked


def give_secret(key: Key, values: dict[str, Any]) -> None:
    """Gives a key the predecessor's secret that its row has, else a new one; raises CannotImport."""
    secret = text("key", values.get("key")).strip()
    key_id = text("id", values.get("id")).strip()
    if key_id and keys.find_id(key_id) != key_id:
        raise CannotImport(f"id is {shown(key_id)}, and not 12 letters and digits")
    if keys.is_legacy(secret):
        keep(key, secret)
    elif secret:
        raise CannotImport("its `key` is not of the form ollama_<hex>: leave it out, and it gets a new secret")
    else:
        key.give_secret(key_id)


def keep(key: Key, text: str) -> None:
    """Gives an unsaved key an id, and the predecessor's secret, of which the digest alone is kept."""
    key.key_id = keys.generate().id
    key.digest = keys.digest(text, settings.KEY_PEPPER).hex()
    key.pepper_id = present_pepper()
    key.legacy = True


def known(made: Iterable[Key]) -> set[str]:
    """Returns the digests of these keys that are stored already: an import can be repeated."""
    digests = [key.digest for key in made]
    return set(Key.objects.filter(digest__in=digests).values_list("digest", flat=True)) | set(
        Key.objects.filter(old_digest__in=digests).values_list("old_digest", flat=True)
    )


def free_ids(made: Iterable[Key]) -> int:
    """Gives keys whose id is taken here, or twice in the file, another one with another secret; returns how many."""
    made = list(made)
    taken = set(Key.objects.filter(key_id__in=[key.key_id for key in made]).values_list("key_id", flat=True))
    changed = 0
    for key in made:
        if key.key_id in taken:
            key.give_secret()
            changed += 1
        taken.add(key.key_id)
    return changed


def check(key: Key) -> None:
    """Raises CannotImport where a field is not what it must be."""
    note = key.note
    try:
        # A note of a spreadsheet's cell may have soft line breaks; it is stored as it stands.
        key.note = SOFT_BREAK.sub("\n", note)
        key.full_clean(validate_unique=False)
        for dimension, amount in (key.new_limits or {}).items():
            possible(dimension, amount)
    except ValidationError as error:
        told: dict[str, list[str]] = error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
        named = ((name, line) for name, lines in told.items() for line in lines)
        lines = (line if name in ("", NON_FIELD_ERRORS) else f"{name}: {line}" for name, line in named)
        raise CannotImport(" ".join(lines)) from None
    finally:
        key.note = note


def text(name: str, value: Any) -> str:
    """Returns a text, an empty one for nothing; raises CannotImport for another type."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise CannotImport(f"{name} is {shown(value)}, and not a text")
    return value


def listed(name: str, value: Any) -> str:
    """Returns a list, or a text with commas, as it is stored; raises CannotImport."""
    if isinstance(value, list):
        for part in value:
            if not isinstance(part, str) or not part or lists.items(part) != [part] or len(part.split()) != 1:
                raise CannotImport(f"{name} has {shown(part)}: a list has one name in each place")
        return ",".join(value)
    return text(name, value)


def owner(name: str) -> Any:
    """Returns the user of that name, None for an empty one; raises CannotImport."""
    if not name:
        return None
    user = None if "\0" in name else get_user_model().objects.filter(username=name).first()
    if user is None:
        raise CannotImport(f"no user is called {shown(name)}")
    return user


def limits(values: dict[str, Any]) -> dict[str, int | None]:
    """Returns the limits of `limits` and of the fields of their own; raises CannotImport."""
    together = values.get("limits")
    if together is None:
        together = {}
    if not isinstance(together, dict):
        raise CannotImport(f'limits is {shown(together)}, and not an object such as {{"tokens_per_day": 1000}}')
    unknown = [name for name in together if name not in LIMITS]
    if unknown:
        raise CannotImport(f"limits has {shown(unknown[0])}: choose among {', '.join(LIMITS)}")
    found: dict[str, int | None] = {}
    for name in LIMITS:
        if together.get(name) is not None and values.get(name) not in (None, ""):
            raise CannotImport(f"{name} is given twice")
        amount = number(name, together.get(name, values.get(name)))
        if amount is not None:
            found[name] = amount
    return found


def expiry(value: Any) -> datetime | None:
    """Returns when a row's key expires: an exact time, or what people write, in the future; raises CannotImport."""
    written = text("expires", value).strip()
    if not written or written == "never":
        return None
    try:
        return parse_expiry(written, timezone.now())
    except ValueError as error:
        raise CannotImport(f"expires: {error}") from None


def moment(name: str, value: Any) -> datetime | None:
    """Returns a time, as `listapikeys --json` writes it or as people do; raises CannotImport."""
    written = text(name, value).strip()
    if not written or (name == "expires" and written == "never"):
        return None
    try:
        return parse_expiry(written, timezone.now(), past=True)
    except ValueError:
        raise CannotImport(f"{name} is {shown(written)}, and not a time such as 2030-12-31T18:00:00Z") from None


def flag(name: str, value: Any) -> bool | None:
    """Returns true or false, None for nothing; raises CannotImport."""
    if value is None or isinstance(value, bool):
        return value
    word = text(name, value).strip().lower()
    if word not in ("", *TRUE, *FALSE):
        raise CannotImport(f"{name} is {shown(value)}, and neither true nor false")
    return word in TRUE if word else None


def number(name: str, value: Any) -> int | None:
    """Returns a whole number of one or more, None for nothing; raises CannotImport."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdecimal():
        value = int(value) if len(value) < 30 else value  # noqa: PLR2004 -- more digits than any limit has
    if value in (None, ""):
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise CannotImport(f"{name} is {shown(value)}, and not a whole number")
    if value < 1:
        raise CannotImport(f"{name} is {shown(value)}: write 1 or more, or leave it empty for no limit")
    return value
