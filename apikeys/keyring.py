"""All usable keys, in memory: the only place that a request looks them up."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from apikeys.principal import Principal

_NOBODY = bytes(32)


class Old(NamedTuple):
    """A replaced secret in its grace."""

    digest: bytes
    principal: Principal


class Entry(NamedTuple):
    """A key as the ring holds it: the digest of its secret, what it may do, and the same of the secret before.

    A legacy key's first secret says no id: it is found by its digest.
    """

    digest: bytes
    principal: Principal
    old: Old | None = None
    legacy: bool = False

    @property
    def legacy_digest(self) -> bytes | None:
        """The digest of a secret that says no id, None where there is none."""
        if not self.legacy:
            return None
        if self.principal.secret_number == 1:
            return self.digest
        return self.old.digest if self.old is not None and self.old.principal.secret_number == 1 else None


# What an unknown id is compared with.
_UNKNOWN: tuple[bytes, None, None, bool] = (_NOBODY, None, None, False)
_NO_OLD: tuple[bytes, None] = (_NOBODY, None)


class Found(NamedTuple):
    """A recognised secret: whose it is, and under which of the peppers its digest is stored (0 is the present one)."""

    principal: Principal
    pepper: int


class KeyRing:
    """The keys that are neither revoked nor disabled, by id.

    One thread (the feed's) changes it while others read: each change is one step on a dictionary.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._legacy: dict[bytes, str] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key_id: str) -> bool:
        return key_id in self._entries

    def find(self, key_id: str, digests: Sequence[bytes], now: float) -> Found | None:
        """Returns whose secret has one of these digests (one a pepper) and this id, if it is good at `now` (epoch).

        An unknown id costs the same comparisons as a known one, so that time tells nothing.
        """
        current, principal, old, _ = self._entries.get(key_id, _UNKNOWN)
        before, old_principal = old or _NO_OLD
        for pepper, digest in enumerate(digests):
            # Both are compared, always.
            is_current, is_old = hmac.compare_digest(current, digest), hmac.compare_digest(before, digest)
            found = principal if is_current else old_principal if is_old else None
            if found is not None:
                return None if found.expired(now) else Found(found, pepper)
        return None

    def find_legacy(self, digests: Sequence[bytes], now: float) -> Found | None:
        """Returns whose secret without an id has one of these digests, if it is good at `now`."""
        for digest in digests:
            key_id = self._legacy.get(digest)
            if key_id is not None:
                return self.find(key_id, digests, now)
        return None

    def current(self, principal: Principal) -> Principal | None:
        """Returns what the secret behind an earlier principal may do now; None where it is good for nothing."""
        entry = self._entries.get(principal.key_id)
        if entry is None:
            return None
        for known in (entry.principal, entry.old.principal if entry.old is not None else None):
            if known is not None and known.secret_number == principal.secret_number:
                return known
        return None

    def put(self, entry: Entry) -> None:
        """Adds a key, or takes over its changes."""
        self._entries[entry.principal.key_id] = entry
        legacy = entry.legacy_digest
        if legacy is not None:
            self._legacy[legacy] = entry.principal.key_id

    def drop(self, key_id: str) -> None:
        """Forgets a key; no matter if it is not there."""
        entry = self._entries.pop(key_id, None)
        if entry is not None and entry.legacy_digest is not None:
            self._legacy.pop(entry.legacy_digest, None)

    def keep(self, key_ids: Container[str]) -> None:
        """Forgets all keys but these."""
        for key_id in [known for known in self._entries if known not in key_ids]:
            self.drop(key_id)

    def replace(self, entries: Iterable[Entry]) -> None:
        """Forgets everything and holds these keys instead."""
        everything = {entry.principal.key_id: entry for entry in entries}
        legacy = {entry.legacy_digest: key_id for key_id, entry in everything.items() if entry.legacy_digest}
        self._entries, self._legacy = everything, legacy


ring = KeyRing()
