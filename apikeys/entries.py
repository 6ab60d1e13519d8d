"""Makes of a stored key what the ring holds of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apikeys import lists
from apikeys.keyring import Entry
from apikeys.principal import Principal

if TYPE_CHECKING:
    from datetime import datetime

COLUMNS = ("key_id", "digest", "label", "expires", "scopes", "models")


def entry(  # noqa: PLR0913 -- a row's columns
    key_id: str, digest: str, label: str, expires: datetime | None, scopes: str, models: str
) -> Entry:
    """Returns the ring's entry of a row with these COLUMNS."""
    principal = Principal(
        key_id, label, expires.timestamp() if expires else None, lists.scopes(scopes), lists.parts(models)
    )
    return Entry(bytes.fromhex(digest), principal)
