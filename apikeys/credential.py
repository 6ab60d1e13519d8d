"""Which key a request carries: the one decision over all spellings."""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class TwoCredentialsError(ValueError):
    """A request carries two keys that differ, so nobody can say whose it is."""


def credential(meta: Mapping[str, Any]) -> str | None:
    """Returns the key in the headers (named as in a request's META), or None where there is none.

    It stands in `X-API-Key`, after `Authorization: Bearer`, or as the password of `Authorization: Basic`, whatever
    the user name; other schemes are not ours and count as none.  A header sent twice arrives joined by a comma, which
    no key contains.  Raises TwoCredentialsError.
    """
    plain: str = meta.get("HTTP_X_API_KEY", "").strip()
    scheme, _, text = meta.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
    match scheme.lower():
        case "bearer":
            authorized = text.strip()
        case "basic":
            authorized = password(text.strip())
        case _:
            authorized = ""
    if plain and authorized and plain != authorized:
        raise TwoCredentialsError("X-API-Key and Authorization carry two different keys: send one of them.")
    return plain or authorized or None


def password(encoded: str) -> str:
    """Returns the password of Basic credentials (RFC 7617); what can't be decoded is kept, as a malformed key."""
    try:
        _, _, text = b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return encoded
    return text.strip()
