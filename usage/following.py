"""Keeps the limits in memory as the database has them, on the thread that follows the keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apikeys.models import Allowance as Row
from apikeys.models import Key, KeyRevision
from usage.dimensions import Allowance

if TYPE_CHECKING:
    from collections.abc import Iterable

    from usage.allowances import Allowances

# Owners and teams are few; they are read again with every change.
FEW = (Row.Kind.OWNER, Row.Kind.TEAM)


class AllowanceFollower:
    """Brings changed limits into memory: those of changed keys, and those of owners and teams."""

    def __init__(self, allowances: Allowances) -> None:
        self.allowances = allowances
        self.seen = -1

    def __call__(self) -> None:
        """Reads what changed since the last time; the first time, and after a step back, everything."""
        latest = KeyRevision.seen()
        if latest == self.seen:
            return
        if self.seen < 0 or latest < self.seen:
            self.allowances.replace(read(Row.objects.all()))
        else:
            changed = list(Key.objects.changed_since(self.seen).values_list("key_id", flat=True))
            rows = read(Row.objects.filter(kind=Row.Kind.KEY, subject__in=changed))
            self.allowances.change({f"{Row.Kind.KEY}:{key_id}" for key_id in changed}, rows)
            few = list(read(Row.objects.filter(kind__in=FEW)))
            self.allowances.change(self.allowances.subjects(*FEW) | {row.subject for row in few}, few)
        self.seen = latest


def read(rows: Iterable[Row]) -> Iterable[Allowance]:
    """Returns rows as the ledger has them."""
    return (Allowance(f"{row.kind}:{row.subject}", row.dimension, row.amount) for row in rows)
