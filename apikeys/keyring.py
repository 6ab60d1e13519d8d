"""All usable keys and all limits, in memory: the only place that a request looks them up."""

from __future__ import annotations

import hmac
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, NamedTuple

from apikeys.principal import ATTENDED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from apikeys.principal import Principal

    # By subject; a subject without limits is absent.
    Limits = Mapping[str, tuple[tuple[str, int], ...]]

Network = IPv4Network | IPv6Network

_NOBODY = bytes(32)


class Old(NamedTuple):
    """A replaced secret in its grace."""

    digest: bytes
    principal: Principal


class Unattended(NamedTuple):
    """How a key serves clients without a place for one: from the path, or by these networks without any."""

    in_path: bool
    networks: tuple[str, ...] = ()


class Entry(NamedTuple):
    """A key as the ring holds it: the digest of its secret, what it may do, and the same of the secret before.

    A legacy key's first secret says no id: it is found by its digest.
    """

    digest: bytes
    principal: Principal
    old: Old | None = None
    legacy: bool = False
    unattended: Unattended | None = None

    @property
    def legacy_digest(self) -> bytes | None:
        """The digest of a secret that says no id, None where there is none."""
        if not self.legacy:
            return None
        if self.principal.secret_number == 1:
            return self.digest
        return self.old.digest if self.old is not None and self.old.principal.secret_number == 1 else None


# What an unknown id is compared with.
_UNKNOWN: tuple[bytes, None, None, bool, None] = (_NOBODY, None, None, False, None)
_NO_OLD: tuple[bytes, None] = (_NOBODY, None)


class Found(NamedTuple):
    """A recognised secret: whose it is, and under which of the peppers its digest is stored (0 is the present one)."""

    principal: Principal
    pepper: int


class Snapshot:
    """Keys and limits of one revision of the database.

    `limits` has the (dimension, amount) pairs of each subject: `key:…`, `owner:…`, `team:…`.
    """

    __slots__ = ("_networks", "entries", "legacy", "limits")

    def __init__(self, entries: dict[str, Entry], legacy: dict[bytes, str], limits: Limits) -> None:
        self.entries = entries
        self.legacy = legacy
        self.limits = limits
        self._networks: list[tuple[Network, str]] | None = None

    @property
    def networks(self) -> list[tuple[Network, str]]:
        """The networks whose requests act as a key without sending one, and that key's id, the smallest first.

        Found when they are first asked for: most gateways have none.
        """
        if self._networks is None:
            found = [
                (ip_network(text), entry.principal.key_id)
                for entry in self.entries.values()
                if entry.unattended is not None
                for text in entry.unattended.networks
            ]
            self._networks = sorted(found, key=lambda pair: -pair[0].prefixlen)
        return self._networks

    def remove(self, key_id: str) -> bool:
        """Removes a key; returns whether it was there."""
        entry = self.entries.pop(key_id, None)
        if entry is not None and entry.legacy_digest is not None:
            self.legacy.pop(entry.legacy_digest, None)
        return entry is not None


class KeyRing:
    """The keys that are neither revoked nor disabled, by id, and the limits of keys, owners and teams.

    One thread (the feed's) changes it while others read.  Keys and limits that were read together are replaced
    together, by one assignment: no reader sees a key without the limits of the same revision.
    """

    def __init__(self) -> None:
        self.snapshot = Snapshot({}, {}, {})

    def __len__(self) -> int:
        return len(self.snapshot.entries)

    def __contains__(self, key_id: str) -> bool:
        return key_id in self.snapshot.entries

    def find(self, key_id: str, digests: Sequence[bytes], now: float) -> Found | None:
        """Returns whose secret has one of these digests (one a pepper) and this id, if it is good at `now` (epoch).

        An unknown id costs the same comparisons as a known one, so that time tells nothing.
        """
        current, principal, old, _, _ = self.snapshot.entries.get(key_id, _UNKNOWN)
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
            key_id = self.snapshot.legacy.get(digest)
            if key_id is not None:
                return self.find(key_id, digests, now)
        return None

    def is_in_path(self, key_id: str) -> bool:
        """Tells whether a key is taken from the path."""
        entry = self.snapshot.entries.get(key_id)
        return (
            entry is not None
            and entry.unattended is not None
            and entry.unattended.in_path
            and entry.principal.scopes.isdisjoint(ATTENDED)
        )

    def find_keyless(self, address: str, now: float) -> Principal | None:
        """Returns the key as which a request without one acts, by its client's address, if that is good at `now`.

        The smallest network decides.  Where two keys have the same one, which no form lets happen, neither is meant.
        """
        snapshot = self.snapshot
        if not snapshot.networks:
            return None
        try:
            parsed = ip_address(address)
        except ValueError:
            return None
        client = getattr(parsed, "ipv4_mapped", None) or parsed
        fitting = [(network, key_id) for network, key_id in snapshot.networks if client in network]
        if not fitting or any(network == fitting[0][0] for network, _ in fitting[1:]):
            return None
        entry = snapshot.entries.get(fitting[0][1])
        if entry is None or entry.principal.expired(now) or not entry.principal.scopes.isdisjoint(ATTENDED):
            return None
        return entry.principal

    def current(self, principal: Principal) -> Principal | None:
        """Returns what the secret behind an earlier principal may do now; None where it is good for nothing."""
        entry = self.snapshot.entries.get(principal.key_id)
        if entry is None:
            return None
        for known in (entry.principal, entry.old.principal if entry.old is not None else None):
            if known is not None and known.secret_number == principal.secret_number:
                return known
        return None

    def put(self, entry: Entry) -> None:
        """Adds a key, or replaces it; its limits stay as they are."""
        self.change([entry])

    def drop(self, key_id: str) -> bool:
        """Removes a key; returns whether it was there."""
        return self.snapshot.remove(key_id)

    def narrow(self, entry: Entry) -> bool:
        """Removes the secrets of a known key that `entry`, read later, no longer has; returns whether there were any.

        Adds nothing.
        """
        key_id = entry.principal.key_id
        known = self.snapshot.entries.get(key_id)
        if known is None:
            return False
        valid = {one.secret_number for one in (entry.principal, entry.old and entry.old.principal) if one}
        if known.principal.secret_number not in valid:
            return self.drop(key_id)
        if known.old is not None and known.old.principal.secret_number not in valid:
            self.snapshot.entries[key_id] = known._replace(old=None)
            return True
        return False

    def change(self, entries: Iterable[Entry], ended: Iterable[str] = (), limits: Limits | None = None) -> None:
        """Adds or replaces keys, removes those whose ids are in `ended`, and replaces all limits unless None."""
        before = self.snapshot
        # Copies, in one step each: a reader holds either all of the old or all of the new.
        snapshot = Snapshot(before.entries.copy(), before.legacy.copy(), before.limits if limits is None else limits)
        for key_id in ended:
            snapshot.remove(key_id)
        for entry in entries:
            snapshot.remove(entry.principal.key_id)
            snapshot.entries[entry.principal.key_id] = entry
            if entry.legacy_digest is not None:
                snapshot.legacy[entry.legacy_digest] = entry.principal.key_id
        self.snapshot = snapshot

    def replace(self, entries: Iterable[Entry], limits: Limits | None = None) -> None:
        """Replaces all keys and all limits."""
        everything = {entry.principal.key_id: entry for entry in entries}
        legacy = {entry.legacy_digest: key_id for key_id, entry in everything.items() if entry.legacy_digest}
        self.snapshot = Snapshot(everything, legacy, limits or {})


ring = KeyRing()
