"""What was spent before this process began, for the ledger to start from."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db.models import F, QuerySet, Sum

from usage.models import UsageDay, UsageMonth
from usage.rollups import EVERYONE

TOKENS = F("prompt_tokens") + F("completion_tokens")
KINDS = ("key", "owner", "team")


def spent(now: float) -> dict[tuple[str, str], int]:
    """Returns the tokens of this day, this month and all time (UTC, at `now` in epoch seconds).

    They are given by subject (`key:…`, `owner:…`, `team:…`) and dimension, as Ledger.restore takes them.  What is still
    in the journal is not among them: `Keeper.catch_up` comes first.
    """
    today = datetime.fromtimestamp(now, UTC).date()
    return {
        **by_subject(UsageDay.objects.filter(start=today), "tokens_per_day"),
        **by_subject(UsageMonth.objects.filter(start=today.replace(day=1)), "tokens_per_month"),
        **by_subject(UsageMonth.objects.all(), "tokens_total"),
    }


def by_subject(rows: QuerySet[UsageDay] | QuerySet[UsageMonth], dimension: str) -> dict[tuple[str, str], int]:
    """Returns the tokens of some rows by their keys, owners and teams."""
    found = {}
    own = rows.exclude(key=EVERYONE).order_by()
    for kind in KINDS:
        for subject, tokens in own.values_list(kind).annotate(tokens=Sum(TOKENS)):
            if subject and tokens:
                found[f"{kind}:{subject}", dimension] = tokens
    return found
