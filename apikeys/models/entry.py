"""The audit trail as it is stored: who did what to which key."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NoReturn

from django.db import models

from apikeys.chain import Facts, Sealed


class TrailIsKept(Exception):
    """An entry of the audit trail was to be changed or deleted."""


class AuditEntry(models.Model):
    """One thing that was done; never changed, never deleted."""

    number = models.PositiveBigIntegerField(primary_key=True)
    when = models.DateTimeField(db_index=True)
    actor = models.CharField("who", max_length=200)
    address = models.CharField("from", max_length=45, blank=True)
    action = models.CharField("what", max_length=20, db_index=True)
    key_id = models.CharField("key", max_length=32, blank=True, db_index=True)
    changes = models.TextField(blank=True, default="{}")
    seal = models.CharField(max_length=64)
    secret_id = models.CharField(max_length=8)

    class Meta:
        """It can be looked at."""

        verbose_name = "audit entry"
        verbose_name_plural = "audit entries"
        ordering = ("-number",)
        default_permissions = ("view",)

    def __str__(self) -> str:
        """Says what was done."""
        return f"{self.number}: {self.actor} {self.action} {self.key_id}"

    def save(self, *_args: Any, **_named: Any) -> NoReturn:
        """Refuses: raises TrailIsKept."""
        raise TrailIsKept("Entries are appended by what is done to keys, and stay as they are.")

    def delete(self, *_args: Any, **_named: Any) -> NoReturn:
        """Refuses: raises TrailIsKept."""
        raise TrailIsKept("Entries of the audit trail are never deleted.")

    def sealed(self) -> Sealed:
        """Returns the entry as the chain sees it."""
        facts = Facts(
            self.number,
            iso(self.when),
            self.actor,
            self.address,
            self.action,
            self.key_id,
            self.changes,
        )
        return Sealed(facts, self.seal, self.secret_id)


def iso(moment: datetime) -> str:
    """Returns a moment as it is sealed: to the millisecond, which every database and every backup keeps."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
