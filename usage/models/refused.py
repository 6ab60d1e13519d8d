"""How many calls were refused before they were admitted."""

from __future__ import annotations

from django.db import models

from usage import lines


class RefusedDay(models.Model):
    """The calls of a day (UTC) and a key that were refused in one way, whether or not a record of them is kept."""

    day = models.DateField()
    key = models.CharField(max_length=lines.KEY, blank=True)
    status = models.PositiveSmallIntegerField()
    error = models.CharField(max_length=lines.ERROR)
    seen = models.PositiveBigIntegerField(default=0, help_text="All such calls.")
    kept = models.PositiveBigIntegerField(default=0, help_text="Those that have a record.")

    class Meta:
        """They are pruned with the records."""

        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["day", "key", "status", "error"], name="one_refusedday_each")]

    def __str__(self) -> str:
        """Says when, whose and what."""
        return f"{self.day} {self.key} {self.status} {self.error}: {self.seen}"
