"""The arithmetic of the audit trail: each entry is sealed together with the seal before it.

Whoever can write to the database but does not have the pepper can't make, change or move an entry unseen.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LABEL = b"ollama-gateway audit trail"
ID_LENGTH = 8


@dataclass(frozen=True, slots=True)
class Facts:
    """What an entry says, all of it sealed; `when` is ISO 8601 in UTC, `changes` is JSON."""

    number: int
    when: str
    actor: str
    address: str
    action: str
    key_id: str
    changes: str


@dataclass(frozen=True, slots=True)
class Sealed:
    """An entry as it is stored: its facts, its seal, and the id of the secret that sealed it."""

    facts: Facts
    seal: str
    secret_id: str


class UnknownPepper(str):
    """A flaw that may be none: the entry's seal can't be checked without an older pepper."""

    __slots__ = ()


def secret_of(pepper: str) -> bytes:
    """Returns the secret that seals entries: derived from the pepper, which the database does not hold."""
    return hmac.digest(pepper.encode(), LABEL, "sha256")


def id_of(secret: bytes) -> str:
    """Returns a short name of a secret, which says nothing about it."""
    return hmac.digest(secret, b"id", "sha256").hex()[:ID_LENGTH]


def seal(secret: bytes, before: str, facts: Facts) -> str:
    """Returns the seal of an entry that follows the one sealed `before`, in hex."""
    text = json.dumps(
        [
            before,
            facts.number,
            facts.when,
            facts.actor,
            facts.address,
            facts.action,
            facts.key_id,
            facts.changes,
        ]
    )
    return hmac.digest(secret, text.encode(), "sha256").hex()


def flaws(entries: Iterable[Sealed], secrets: Sequence[bytes]) -> Iterator[str]:
    """Yields what is wrong with a trail that is read from its first entry on, in sentences for people.

    The first of the secrets is the present one.
    """
    known = {id_of(secret): secret for secret in secrets}
    present, is_present = id_of(secrets[0]), False
    before, number = "", 0
    for entry in entries:
        facts = entry.facts
        if number and facts.number != number + 1:
            yield f"{gap(number + 1, facts.number - 1)} missing."
        secret = known.get(entry.secret_id)
        if secret is None:
            text = f"Entry {facts.number} was sealed under a pepper that is not known here: see KEY_PEPPER_FALLBACKS."
            # Peppers follow one another: after the present one none can be older.
            yield text if is_present else UnknownPepper(text)
        elif not hmac.compare_digest(seal(secret, before, facts), entry.seal):
            missing = "" if number else ", or the entries before it are missing"
            yield f"Entry {facts.number} was changed{missing}."
        is_present = is_present or entry.secret_id == present
        before, number = entry.seal, facts.number


def gap(first: int, last: int) -> str:
    """Names the entries between two others."""
    return f"Entry {first} is" if first == last else f"Entries {first} to {last} are"
