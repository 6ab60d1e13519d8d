"""All usable keys, in memory: the only place that a request looks them up."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apikeys.principal import Principal

_NOBODY = bytes(32)


class Entry(NamedTuple):
    """A key as the ring holds it: the digest of its secret, and what it may do."""

    digest: bytes
    principal: Principal


class KeyRing:
    """The keys that are not revoked, by id.

    One thread (the feed's) changes it while others read: each change is one step on a dictionary.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key_id: str) -> bool:
        return key_id in self._entries

    def find(self, key_id: str, digest: bytes, now: float) -> Principal | None:
        """Returns the principal of the key with this id and digest, unless it has expired at `now` (epoch seconds).

        An unknown id costs the same comparison as a known one, so that time tells nothing.
        """
        entry = self._entries.get(key_id)
        known = hmac.compare_digest(entry.digest if entry is not None else _NOBODY, digest)
        if entry is None or not known:
            return None
        expires_at = entry.principal.expires_at
        if expires_at is not None and expires_at <= now:
            return None
        return entry.principal

    def put(self, entry: Entry) -> None:
        """Adds a key, or takes over its changes."""
        self._entries[entry.principal.key_id] = entry

    def drop(self, key_id: str) -> None:
        """Forgets a key; no matter if it is not there."""
        self._entries.pop(key_id, None)

    def replace(self, entries: Iterable[Entry]) -> None:
        """Forgets everything and holds these keys instead."""
        self._entries = {entry.principal.key_id: entry for entry in entries}


ring = KeyRing()
