"""How many keys that were not valid came from where."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import models, transaction
from django.utils import timezone

if TYPE_CHECKING:
    from collections.abc import Mapping

KEPT = timedelta(days=30)


class AttemptCount(models.Model):
    """A count for an hour and an address; what was tried is not kept."""

    hour = models.DateTimeField("hour (UTC)")
    address = models.CharField(max_length=50)
    count = models.PositiveBigIntegerField(default=0)

    class Meta:
        """It can be looked at."""

        verbose_name = "invalid key count"
        verbose_name_plural = "invalid keys"
        ordering = ("-hour", "-count", "-pk")
        constraints = [models.UniqueConstraint(fields=["hour", "address"], name="one_count_an_hour")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        """Says the count."""
        return f"{self.count} from {self.address}"

    @classmethod
    def add(cls, counts: Mapping[str, int]) -> None:
        """Adds to the counts of this hour, and forgets those of a month ago."""
        if not counts:
            return
        hour = timezone.now().replace(minute=0, second=0, microsecond=0)
        with transaction.atomic():
            for address, count in counts.items():
                row, _ = cls.objects.get_or_create(hour=hour, address=address)
                cls.objects.filter(pk=row.pk).update(count=models.F("count") + count)
            cls.objects.filter(hour__lt=hour - KEPT).delete()
