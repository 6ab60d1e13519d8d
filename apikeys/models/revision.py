"""The end of the audit trail, which numbers all changes to keys."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from django.conf import settings
from django.db import models
from django.utils import timezone

from apikeys.actor import actor
from apikeys.chain import Facts, id_of, seal, secret_of
from apikeys.models.entry import AuditEntry, iso

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ENTRIES_A_STATEMENT = 500


class Deed(NamedTuple):
    """What was done to a key, and which of its fields were what before and after."""

    action: str
    key_id: str
    changes: Mapping[str, tuple[object, object]]


class KeyRevision(models.Model):
    """The one row that numbers every change to a key: the number and the seal of the audit trail's last entry.

    Whoever changes a key holds this row's lock until the commit, so numbers become visible in their own order,
    and a reader who has seen number n misses nothing by asking for what is greater than n.
    """

    latest = models.PositiveBigIntegerField(default=0)
    seal = models.CharField(max_length=64, default="", blank=True)

    class Meta:
        """Nobody changes numbers by hand."""

        default_permissions = ()

    def __str__(self) -> str:
        """Says the number."""
        return f"revision {self.latest}"

    @property
    def end(self) -> str:
        """Names the trail's end: its last entry's number and seal, as `verifyaudit --end` takes it."""
        return f"{self.latest}:{self.seal}"

    @classmethod
    def lock(cls) -> KeyRevision:
        """Locks the row until the end of the transaction, which there must be, and returns it."""
        row = cls.objects.filter(pk=1)
        # An update, since SQLite knows no other lock.
        if not row.update(latest=models.F("latest")):
            # The row is made by a migration; a flushed or half-restored database may lack it.
            return cls.objects.create(pk=1, **cls._last())
        return row.get()

    @staticmethod
    def _last() -> dict[str, object]:
        from apikeys.models.key import Key

        entry = AuditEntry.objects.first()
        number = max(Key.objects.last_revision(), entry.number if entry else 0)
        return {"latest": number, "seal": entry.seal if entry else ""}

    @classmethod
    def seen(cls) -> int:
        """Returns the number of the latest change."""
        return cls.objects.filter(pk=1).values_list("latest", flat=True).first() or 0

    def append(self, deeds: Sequence[Deed]) -> int:
        """Appends to the audit trail what was done, and returns the new number; the row must be locked."""
        secret = secret_of(settings.KEY_PEPPER)
        secret_id = id_of(secret)
        who, now = actor(), timezone.now()
        entries = []
        for deed in deeds:
            self.latest += 1
            changes = json.dumps(deed.changes, default=str, ensure_ascii=False)
            facts = Facts(self.latest, iso(now), who.name, who.address, deed.action, deed.key_id, changes)
            self.seal = seal(secret, self.seal, facts)
            entries.append(
                AuditEntry(
                    number=facts.number,
                    when=now,
                    actor=facts.actor,
                    address=facts.address,
                    action=facts.action,
                    key_id=facts.key_id,
                    changes=changes,
                    seal=self.seal,
                    secret_id=secret_id,
                )
            )
        AuditEntry.objects.bulk_create(entries, batch_size=ENTRIES_A_STATEMENT)
        self.save(update_fields=["latest", "seal"])
        return self.latest
