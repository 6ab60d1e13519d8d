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
        update = self.replacement(rows)
        update.add()
        update.remove()

    def replacement(self, rows: Iterable[Allowance]) -> AllowanceUpdate:
        """Returns the update that leaves nothing but these rows."""
        found = gathered(rows)
        return AllowanceUpdate(self, found, self.by_subject.keys() - found.keys())

    def update(self, subjects: Iterable[str], rows: Iterable[Allowance]) -> AllowanceUpdate:
        """Returns the update by which some subjects have these rows, and no others."""
        found = gathered(rows)
        return AllowanceUpdate(self, found, set(subjects) - found.keys())

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


class AllowanceUpdate:
    """A change of the table, in two steps: whoever is to be served under new limits is so between them."""

    def __init__(self, table: Allowances, found: Mapping[str, tuple[Allowance, ...]], gone: Iterable[str]) -> None:
        self.table = table
        self.found = found
        self.gone = gone

    def add(self) -> None:
        """Takes over limits that are new or changed."""
        self.table.by_subject.update(self.found)
        self.table.known = {}

    def remove(self) -> None:
        """Forgets the limits of subjects that have none any more."""
        for subject in self.gone:
            self.table.by_subject.pop(subject, None)
        self.table.known = {}


def gathered(rows: Iterable[Allowance]) -> dict[str, tuple[Allowance, ...]]:
    """Gathers rows by their subject."""
    found: dict[str, list[Allowance]] = {}
    for row in rows:
        found.setdefault(row.subject, []).append(row)
    return {subject: tuple(held) for subject, held in found.items()}
