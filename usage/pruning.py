"""Deletes old records, a few at a time; roll-ups stay."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone

from usage.models import UsageRecord

# Records a transaction: a few milliseconds of SQLite's one write lock.
PORTION = 200


def cutoff(days: int) -> datetime:
    """Returns the moment before which records are old."""
    return timezone.now() - timedelta(days=days)


def prune(before: datetime, most: int = PORTION) -> int:
    """Deletes up to `most` records that ended before a moment, the oldest first; returns how many."""
    old = list(UsageRecord.objects.filter(at__lt=before).order_by("at").values_list("pk", flat=True)[:most])
    return UsageRecord.objects.filter(pk__in=old).delete()[0] if old else 0
