"""Which key a request carries: the one decision over all spellings."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from typing import TYPE_CHECKING, Any

from apikeys.keys import id_of, is_legacy

if TYPE_CHECKING:
    from collections.abc import Mapping


# Where META has the key that stood in a request's path; no header can be called so.
PATH_KEY = "apikeys.path_key"
SEPARATOR = re.compile(r"[,\s]+")


class TwoCredentialsError(ValueError):
    """A request carries two keys that differ, so nobody can say whose it is."""


def credential(meta: Mapping[str, Any]) -> str | None:
    """Returns the key in the headers (named as in a request's META), or None where there is none.

    It stands in the path (PATH_KEY), in `X-API-Key`, after `Authorization: Bearer`, or as the password of
    `Authorization: Basic`, whatever the user name; other schemes are not ours and count as none.  A header sent twice
    arrives joined by a comma, which no key contains.  Beside a key, a placeholder such as `Bearer ollama`, which many
    clients always send, counts as none.  Raises TwoCredentialsError.
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
        plain = the_key_of(plain, authorized)
    in_path: str | None = meta.get(PATH_KEY)
    header = plain or authorized or None
    if in_path is None or header is None or header == in_path:
        return header if in_path is None else in_path
    if holds_key(header):
        raise TwoCredentialsError("The path and a header carry two different keys: send one of them.")
    return in_path


def the_key_of(one: str, other: str) -> str:
    """Returns the one that has the form of a key; raises TwoCredentialsError where both have it, or neither."""
    if holds_key(one) == holds_key(other):
        raise TwoCredentialsError("X-API-Key and Authorization carry two different keys: send one of them.")
    return one if holds_key(one) else other


def holds_key(text: str) -> bool:
    """Tells whether a credential, or a part of one that was sent twice, has the form of a key."""
    return any(id_of(part) is not None or is_legacy(part) for part in SEPARATOR.split(text))


def password(encoded: str) -> str:
    """Returns the password of Basic credentials (RFC 7617); what can't be decoded is kept, as a malformed key."""
    try:
        _, _, text = b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return encoded
    return text.strip()
