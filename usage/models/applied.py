"""How far the journal's segments are in the database."""

from __future__ import annotations

from django.db import models


class AppliedSegment(models.Model):
    """A segment of a journal, and the offset behind its last line that is applied.

    It is written in the transaction that applies the lines, so each is applied once, whatever dies in between.
    """

    segment = models.CharField(max_length=100, unique=True)
    offset = models.PositiveBigIntegerField(default=0)
    # Its writer is dead, and the calls that it left open are recorded as lost.
    settled = models.BooleanField(default=False)

    class Meta:
        """Nobody changes it by hand."""

        default_permissions = ()

    def __str__(self) -> str:
        """Says where it stands."""
        return f"{self.segment} up to {self.offset}"
