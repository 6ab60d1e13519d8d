"""Keeps the limits in memory as the database has them, on the thread that follows the keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apikeys.models import Allowance as Row
from usage.dimensions import Allowance

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.models import QuerySet

    from apikeys.models import Key
    from usage.allowances import Allowances, AllowanceUpdate

# Owners and teams are few; they are read again with every change.
FEW = (Row.Kind.OWNER, Row.Kind.TEAM)


class AllowanceFollower:
    """Reads the limits that a change of keys is to be served under: theirs, and those of owners and teams."""

    def __init__(self, allowances: Allowances) -> None:
        self.allowances = allowances

    def read(self, changed: QuerySet[Key] | None) -> AllowanceUpdate:
        """Reads the limits of these keys, and all of owners and teams; of None, everything."""
        if changed is None:
            return self.allowances.replacement(read(Row.objects.all()))
        keys = [f"{Row.Kind.KEY}:{key_id}" for key_id in changed.values_list("key_id", flat=True)]
        theirs = Row.objects.filter(kind=Row.Kind.KEY, subject__in=changed.order_by().values("key_id"))
        rows = [*read(theirs), *read(Row.objects.filter(kind__in=FEW))]
        return self.allowances.update({*keys, *self.allowances.subjects(*FEW)}, rows)


def read(rows: Iterable[Row]) -> Iterable[Allowance]:
    """Returns rows as the ledger has them."""
    return (Allowance(f"{row.kind}:{row.subject}", row.dimension, row.amount) for row in rows)
