"""The text of a key: how it is made, recognised and digested, without Django.

A key reads `ollama_<id>_<secret><checksum>`, all base62: a public id of 12 characters, a secret of 43 (256 bits) and
the CRC-32 of everything before it in 6.  The checksum tells whether a key that nobody has was mistyped or
made up, or may be too new to be known; it proves nothing.
"""

from __future__ import annotations

import hmac
import re
import secrets
import zlib
from functools import lru_cache
from typing import NamedTuple

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PREFIX = "ollama_"
ID_LENGTH = 12
SECRET_LENGTH = 43
CHECKSUM_LENGTH = 6
KEY_LENGTH = len(PREFIX) + ID_LENGTH + 1 + SECRET_LENGTH + CHECKSUM_LENGTH
ID_PLACE = slice(len(PREFIX), len(PREFIX) + ID_LENGTH)

_is_shaped = re.compile(
    rf"{PREFIX}[0-9A-Za-z]{{{ID_LENGTH}}}_[0-9A-Za-z]{{{SECRET_LENGTH + CHECKSUM_LENGTH}}}"
).fullmatch
# The keys of this project's predecessor: no id, no checksum, lower-case hexadecimal digits.
_is_legacy = re.compile(r"ollama_[0-9a-f]{16,128}").fullmatch
_is_id = re.compile(rf"[0-9A-Za-z]{{{ID_LENGTH}}}").fullmatch


class ParsedKey(NamedTuple):
    """A key whose shape, length and checksum are right; whether it is anybody's is another question."""

    id: str
    text: str

    def __repr__(self) -> str:
        """Names the id alone, so that no log or traceback shows the secret."""
        return f"ParsedKey(id={self.id!r})"


def generate(key_id: str = "") -> ParsedKey:
    """Makes a new key from the system's randomness, or a new secret for the key with that id."""
    key_id, secret = key_id or _random(ID_LENGTH), _random(SECRET_LENGTH)
    body = f"{PREFIX}{key_id}_{secret}"
    return ParsedKey(key_id, body + checksum(body))


def id_of(text: str) -> str | None:
    """Returns the id in a text that has the shape of a key, None in any other; its checksum is not looked at."""
    return text[ID_PLACE] if len(text) == KEY_LENGTH and _is_shaped(text) is not None else None


def parse(text: str) -> ParsedKey | None:
    """Returns the key that the text is, or None when its shape, length or checksum is wrong; never raises."""
    key_id = id_of(text)
    if key_id is None or checksum(text[:-CHECKSUM_LENGTH]) != text[-CHECKSUM_LENGTH:]:
        return None
    return ParsedKey(key_id, text)


def is_legacy(text: str) -> bool:
    """Tells whether the text has the shape of a key of the predecessor."""
    return _is_legacy(text) is not None


def find_id(text: str) -> str | None:
    """Returns the public id in what a person typed: an id, or a whole key, even a damaged one; else None."""
    if text.startswith(PREFIX):
        text = text.removeprefix(PREFIX).partition("_")[0]
    return text if _is_id(text) else None


def checksum(body: str) -> str:
    """Returns the CRC-32 of ASCII text as 6 base62 digits."""
    rest = zlib.crc32(body.encode("ascii"))
    digits = ""
    for _ in range(CHECKSUM_LENGTH):
        rest, digit = divmod(rest, 62)
        digits = BASE62[digit] + digits
    return digits


def digest(text: str, pepper: str) -> bytes:
    """Returns the 32 bytes that are stored in place of a key: its HMAC-SHA-256 under the pepper.

    No slow password hash is needed: nobody can try 2**256 secrets.
    """
    digest = _keyed(pepper).copy()
    digest.update(text.encode())
    return digest.digest()


@lru_cache(maxsize=8)
def _keyed(pepper: str) -> hmac.HMAC:
    """Returns the HMAC of nothing yet, to be copied; peppers are few, and OpenSSL takes its time to begin."""
    return hmac.new(pepper.encode(), digestmod="sha256")


def _random(length: int) -> str:
    return "".join(secrets.choice(BASE62) for _ in range(length))
