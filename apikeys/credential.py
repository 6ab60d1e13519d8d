"""Which key a request carries: the one decision over all spellings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class TwoCredentialsError(ValueError):
    """A request carries two keys that differ, so nobody can say whose it is."""


def credential(meta: Mapping[str, Any]) -> str | None:
    """Returns the key in the headers (named as in a request's META), or None where there is none.

    It stands in `X-API-Key` or after `Authorization: Bearer`; other schemes are not ours and count as none.
    A header sent twice arrives joined by a comma, which no key contains.  Raises TwoCredentialsError.
    """
    plain: str = meta.get("HTTP_X_API_KEY", "").strip()
    scheme, _, bearer = meta.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
    bearer = bearer.strip() if scheme.lower() == "bearer" else ""
    if plain and bearer and plain != bearer:
        raise TwoCredentialsError("X-API-Key and Authorization carry two different keys: send one of them.")
    return plain or bearer or None
