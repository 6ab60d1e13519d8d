"""The numbering of all changes to keys."""

from __future__ import annotations

from django.db import models


class KeyRevision(models.Model):
    """The one row that numbers every change to a key.

    Whoever changes a key holds this row's lock until the commit, so numbers become visible in their own order,
    and a reader who has seen number n misses nothing by asking for what is greater than n.
    """

    latest = models.PositiveBigIntegerField(default=0)

    class Meta:
        """Nobody changes numbers by hand."""

        default_permissions = ()

    def __str__(self) -> str:
        """Says the number."""
        return f"revision {self.latest}"

    @classmethod
    def take(cls) -> int:
        """Returns the next number; must run in the transaction that makes the change."""
        row = cls.objects.filter(pk=1)
        if not row.update(latest=models.F("latest") + 1):
            # The row is made by a migration; a flushed or half-restored database may lack it.
            from apikeys.models.key import Key

            cls.objects.create(pk=1, latest=1 + Key.objects.last_revision())
        return row.get().latest

    @classmethod
    def seen(cls) -> int:
        """Returns the number of the latest change."""
        return cls.objects.filter(pk=1).values_list("latest", flat=True).first() or 0
