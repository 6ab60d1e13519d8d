"""Makes of a stored key what the ring holds of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from apikeys import lists
from apikeys.keyring import Entry, Old, Unattended
from apikeys.principal import Principal
from gateway import context_window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apikeys.models import KeyQuerySet
    from gateway.context_window import WindowRule

# In the order of Principal's fields where they are the same.
COLUMNS = (
    "key_id",
    "label",
    "expires",
    "scopes",
    "models",
    "routes",
    "addresses",
    "body_limit",
    "owner_id",
    "team",
    "secret_number",
    "digest",
    "old_digest",
    "old_until",
    "legacy",
    "context_window",
    "allow_in_path",
    "keyless_networks",
)


def entries(keys: KeyQuerySet) -> Iterator[Entry]:
    """Yields the ring's entries of these keys."""
    for row in keys.values_list(*COLUMNS).iterator():
        yield entry(*row)


def window_rules(text: str) -> tuple[WindowRule, ...]:
    """Returns a key's rules for context windows; what can't be read, as of a later version, is none."""
    try:
        return context_window.parse(text)
    except ValueError:
        return ()


def entry(*row: Any) -> Entry:
    """Returns the ring's entry of a row with these COLUMNS."""
    key_id, label, expires, scopes, models, routes, addresses, body_limit, owner_id, team, secret_number = row[:11]
    digest, old_digest, old_until, legacy, windows, in_path, keyless_networks = row[11:]
    principal = Principal(
        key_id,
        label,
        expires.timestamp() if expires else None,
        lists.scopes(scopes),
        lists.parts(models),
        lists.parts(routes),
        lists.parts(addresses),
        body_limit,
        owner_id,
        team,
        secret_number,
        window_rules(windows),
    )
    old = None
    if old_digest and old_until is not None:
        # An old secret is a secret that expires sooner.
        end = min(old_until, expires) if expires else old_until
        old = Old(
            bytes.fromhex(old_digest),
            replace(principal, expires_at=end.timestamp(), secret_number=secret_number - 1),
        )
    unattended = Unattended(in_path, lists.parts(keyless_networks)) if in_path or keyless_networks else None
    return Entry(bytes.fromhex(digest), principal, old, legacy, unattended)
