"""What the gateway remembers of itself."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class FirstRun(models.Model):
    """The one row that says that this database had its first run.

    It outlives the admin and the key that were made then, so that neither comes back after it was removed on purpose.
    """

    at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        """Says when."""
        return f"first run at {self.at:%Y-%m-%d %H:%M} UTC"
