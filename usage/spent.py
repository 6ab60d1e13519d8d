"""What was spent before this process began, for the ledger to start from; and what is spent, for alerts and pages."""

from __future__ import annotations

from datetime import UTC, date, datetime

from django.db.models import F, QuerySet, Sum

from usage.dimensions import BUDGETS, DAY, MONTH
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
        (subject, dimension): tokens
        for dimension in BUDGETS
        for kind in KINDS
        for subject, tokens in by_subject(kind, dimension, today).items()
    }


def by_subject(kind: str, dimension: str, today: date) -> dict[str, int]:
    """Returns what subjects of one kind have spent of a dimension in its present period."""
    own = rows(dimension, today).exclude(key=EVERYONE).order_by()
    found = own.values_list(kind).annotate(tokens=Sum(TOKENS))
    return {f"{kind}:{subject}": tokens for subject, tokens in found if subject and tokens}


def rows(dimension: str, today: date) -> QuerySet[UsageDay] | QuerySet[UsageMonth]:
    """Returns the sums that a budget of this dimension counts."""
    if dimension == DAY:
        return UsageDay.objects.filter(start=today)
    if dimension == MONTH:
        return UsageMonth.objects.filter(start=today.replace(day=1))
    return UsageMonth.objects.all()
