"""The limits of everybody, in memory, as the database has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage.ledger import Allowance

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from apikeys.principal import Principal


class Allowances:
    """Which allowances apply to a key: its own, its owner's, its team's, and the defaults for what its own leave open.

    One thread replaces them while others read: each change is one step.
    """

    def __init__(self, defaults: Mapping[str, int]) -> None:
        self.defaults = dict(defaults)
        self.by_subject: dict[str, tuple[Allowance, ...]] = {}

    def replace(self, rows: Iterable[Allowance]) -> None:
        """Takes over all rows anew."""
        found: dict[str, list[Allowance]] = {}
        for row in rows:
            found.setdefault(row.subject, []).append(row)
        self.by_subject = {subject: tuple(held) for subject, held in found.items()}

    def of(self, principal: Principal) -> tuple[Allowance, ...]:
        """Returns what applies to a key; usually nothing, which costs next to nothing."""
        every = self.by_subject
        if not every and not self.defaults:
            return ()
        subject = f"key:{principal.key_id}"
        held = every.get(subject, ())
        if self.defaults:
            own = {one.dimension for one in held}
            held += tuple(
                Allowance(subject, dimension, amount)
                for dimension, amount in self.defaults.items()
                if dimension not in own
            )
        if principal.owner_id is not None:
            held += every.get(f"owner:{principal.owner_id}", ())
        if principal.team:
            held += every.get(f"team:{principal.team}", ())
        return held
