"""What of a key is audited, and how a change of it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models

from apikeys.models.revision import Deed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from apikeys.models.key import Key

Fields = dict[str, Any]

# What people may change by hand.
EDITABLE = (
    "label",
    "owner_id",
    "team",
    "note",
    "scopes",
    "models",
    "routes",
    "addresses",
    "allow_in_path",
    "keyless_networks",
    "body_limit",
    "context_window",
    "enabled",
    "expires",
)
# No digest: the trail says that a secret was changed, never to what.
AUDITED = (*EDITABLE, "legacy", "secret_number", "old_until", "revoked_at")


def snapshot(keys: models.QuerySet[Key]) -> dict[int, Fields]:
    """Returns what is stored of these keys, by primary key."""
    return {row["pk"]: row for row in keys.values("pk", "key_id", *AUDITED).iterator()}


def deeds(before: Mapping[int, Fields], after: Mapping[int, Fields]) -> list[Deed]:
    """Returns what was done to each key of `after`; a key that stayed as it was is touched."""
    return [deed(before[pk], fields) for pk, fields in after.items()]


def deed(before: Fields, after: Fields, limits: tuple[object, object] | None = None) -> Deed:
    """Returns what was done to a key, from its fields before and after."""
    changed = {name: (before[name], after[name]) for name in AUDITED if before[name] != after[name]}
    if limits is not None and limits[0] != limits[1]:
        changed["limits"] = limits
    return Deed(verb(changed), before["key_id"], changed)


def verb(changed: Mapping[str, tuple[object, object]]) -> str:
    """Returns what people call such a change."""
    if "revoked_at" in changed:
        return "revoked"
    if "secret_number" in changed:
        return "rotated"
    if set(changed) == {"enabled"}:
        return "enabled" if changed["enabled"][1] else "disabled"
    return "changed"


def issued(key: Key) -> Deed:
    """Returns the deed of issuing a key: all that it was given."""
    given = dict(fields_given(key))
    limits = {dimension: amount for dimension, amount in (key.new_limits or {}).items() if amount is not None}
    if limits:
        given["limits"] = (None, limits)
    return Deed("imported" if key.legacy else "issued", key.key_id, given)


def fields_given(key: Key) -> Iterator[tuple[str, tuple[None, object]]]:
    """Yields the fields that differ from a plain key's."""
    plain = type(key)()
    for name in AUDITED:
        value = getattr(key, name)
        if value != getattr(plain, name):
            yield name, (None, value)
