"""The limits of everybody, in memory, as the database has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage.dimensions import Allowance

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from apikeys.principal import Principal

# The keys whose limits are kept gathered; where there are more, theirs are gathered each time.
MOST_KNOWN = 10_000


class Allowances:
    """Which allowances apply to a key: its own, its owner's, its team's, and the defaults for what its own leave open.

    One thread replaces them while others read: each change is one step.
    """

    def __init__(self, defaults: Mapping[str, int]) -> None:
        self.defaults = dict(defaults)
        self.by_subject: dict[str, tuple[Allowance, ...]] = {}
        self.known: dict[tuple[str, int | None, str], tuple[Allowance, ...]] = {}  # what was gathered before

    def replace(self, rows: Iterable[Allowance]) -> None:
        """Takes over all rows anew."""
        self.by_subject = gathered(rows)
        self.known = {}

    def change(self, subjects: Iterable[str], rows: Iterable[Allowance]) -> None:
        """Takes over the rows of some subjects, which have no others."""
        found = gathered(rows)
        for subject in subjects:
            if subject in found:
                self.by_subject[subject] = found[subject]
            else:
                self.by_subject.pop(subject, None)
        self.known = {}

    def subjects(self, *kinds: str) -> set[str]:
        """Returns the subjects of these kinds that have limits."""
        return {subject for subject in list(self.by_subject) if subject.partition(":")[0] in kinds}

    def of(self, principal: Principal) -> tuple[Allowance, ...]:
        """Returns what applies to a key; usually nothing, which costs next to nothing."""
        if not self.by_subject and not self.defaults:
            return ()
        return self.held(principal.key_id, principal.owner_id, principal.team)

    def held(self, key_id: str, owner_id: int | None, team: str) -> tuple[Allowance, ...]:
        """Returns what applies to a key of this owner and team."""
        known, whose = self.known, (key_id, owner_id, team)
        held = known.get(whose)
        if held is None:
            held = self.gather(key_id, owner_id, team)
            if len(known) < MOST_KNOWN:
                known[whose] = held
        return held

    def gather(self, key_id: str, owner_id: int | None, team: str) -> tuple[Allowance, ...]:
        """Gathers what applies to a key."""
        every = self.by_subject
        subject = f"key:{key_id}"
        held = every.get(subject, ())
        own = {one.dimension for one in held}
        held += tuple(
            Allowance(subject, dimension, amount) for dimension, amount in self.defaults.items() if dimension not in own
        )
        if owner_id is not None:
            held += every.get(f"owner:{owner_id}", ())
        if team:
            held += every.get(f"team:{team}", ())
        return held


def gathered(rows: Iterable[Allowance]) -> dict[str, tuple[Allowance, ...]]:
    """Gathers rows by their subject."""
    found: dict[str, list[Allowance]] = {}
    for row in rows:
        found.setdefault(row.subject, []).append(row)
    return {subject: tuple(held) for subject, held in found.items()}
