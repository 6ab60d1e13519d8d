"""Which limits apply to a key, from the snapshot that also has the key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage.dimensions import Allowance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apikeys.keyring import KeyRing, Snapshot
    from apikeys.principal import Principal

    Cache = dict[tuple[str, int | None, str], tuple[Allowance, ...]]

# The keys whose limits are cached; where there are more, theirs are gathered each time.
MOST_CACHED = 10_000


class Allowances:
    """The limits of a key: its own, its owner's, its team's, and the defaults for dimensions that its own leave out.

    Any thread may ask.
    """

    def __init__(self, defaults: Mapping[str, int], ring: KeyRing) -> None:
        self.defaults = dict(defaults)
        self.ring = ring
        self._cached: tuple[Snapshot, Cache] = ring.snapshot, {}

    def of(self, principal: Principal) -> tuple[Allowance, ...]:
        """Returns what applies to a key now, whoever owned it when the request was authenticated."""
        snapshot = self.ring.snapshot
        if not snapshot.limits and not self.defaults:
            return ()
        # A key may have got another owner or team meanwhile: its limits and theirs are of one snapshot.
        entry = snapshot.entries.get(principal.key_id)
        now = principal if entry is None else entry.principal
        return self._held(snapshot, now.key_id, now.owner_id, now.team)

    def held(self, key_id: str, owner_id: int | None, team: str) -> tuple[Allowance, ...]:
        """Returns what applies to a key of this owner and team."""
        return self._held(self.ring.snapshot, key_id, owner_id, team)

    def _held(self, snapshot: Snapshot, key_id: str, owner_id: int | None, team: str) -> tuple[Allowance, ...]:
        of, cache = self._cached
        if of is not snapshot:
            cache = {}
            self._cached = snapshot, cache
        whose = key_id, owner_id, team
        held = cache.get(whose)
        if held is None:
            held = self._gather(snapshot, key_id, owner_id, team)
            if len(cache) < MOST_CACHED:
                cache[whose] = held
        return held

    def _gather(self, snapshot: Snapshot, key_id: str, owner_id: int | None, team: str) -> tuple[Allowance, ...]:
        subject = f"key:{key_id}"
        own = dict(snapshot.limits.get(subject, ()))
        amounts = own | {name: amount for name, amount in self.defaults.items() if name not in own}
        held = [Allowance(subject, dimension, amount) for dimension, amount in amounts.items()]
        for shared in (f"owner:{owner_id}" if owner_id is not None else "", f"team:{team}" if team else ""):
            held += (Allowance(shared, dimension, amount) for dimension, amount in snapshot.limits.get(shared, ()))
        return tuple(held)
