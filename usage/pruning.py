"""Deletes old records, a few at a time; roll-ups stay."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone

from usage.models import RefusedDay, UsageRecord

# Records a transaction: a millisecond or two of SQLite's one write lock.
PORTION = 100


def cutoff(days: int) -> datetime:
    """Returns the moment before which records are old."""
    return timezone.now() - timedelta(days=days)


def prune(before: datetime, most: int = PORTION) -> int:
    """Deletes up to `most` records that ended before a moment, the oldest first; returns how many."""
    # One statement: the database does all of it, and the threads that serve go on meanwhile.
    old = UsageRecord.objects.filter(at__lt=before).order_by("at").values("pk")[:most]
    deleted = UsageRecord.objects.filter(pk__in=old).delete()[0]
    if not deleted:
        RefusedDay.objects.filter(day__lt=before.date()).delete()
    return deleted
