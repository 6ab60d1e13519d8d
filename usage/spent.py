"""What was spent before this process began, for the ledger to start from; and what is spent, for alerts and pages."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import F, QuerySet, Sum

from usage.dimensions import BUDGETS, DAY, MONTH
from usage.models import UsageDay, UsageMonth, UsageRecord
from usage.rollups import EVERYONE

if TYPE_CHECKING:
    from apikeys.keyring import Limits

TOKENS = F("prompt_tokens") + F("completion_tokens")
KINDS = ("key", "owner", "team")
# SQLite takes a bounded number of values a statement.
CALLS_A_STATEMENT = SUBJECTS_A_STATEMENT = 400
# The clocks of Redis and of gateways may differ by so much.
CLOCK_MARGIN = timedelta(hours=1)
is_call_id = re.compile("[0-9a-f]{24}").fullmatch


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


def spent_of(budgets: Iterable[tuple[str, str]], now: float) -> dict[tuple[str, str], int]:
    """Returns the same of some budgets alone: pairs of a subject and a dimension."""
    today = datetime.fromtimestamp(now, UTC).date()
    names: dict[tuple[str, str], list[str]] = {}
    for subject, dimension in budgets:
        kind, _, name = subject.partition(":")
        names.setdefault((kind, dimension), []).append(name)
    found: dict[tuple[str, str], int] = {}
    for (kind, dimension), every in names.items():
        for start in range(0, len(every), SUBJECTS_A_STATEMENT):
            own = rows(dimension, today).filter(**{f"{kind}__in": every[start : start + SUBJECTS_A_STATEMENT]})
            sums = own.exclude(key=EVERYONE).order_by().values_list(kind).annotate(tokens=Sum(TOKENS))
            found |= {(f"{kind}:{name}", dimension): tokens for name, tokens in sums if tokens}
    return found


def new_budgets(former: Limits, following: Limits) -> list[tuple[str, str]]:
    """Returns the budgets, as pairs of a subject and a dimension, that are not among the former limits."""
    return [
        (subject, dimension)
        for subject, held in following.items()
        if former.get(subject) != held
        for dimension, _ in held
        if dimension in BUDGETS and dimension not in dict(former.get(subject, ()))
    ]


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


def charged(calls: Iterable[str], since: float) -> dict[str, int]:
    """Returns the tokens of calls by their ids in the journal, 0 for those that left no record.

    None of them began before `since` (epoch seconds).  What is no such id is left out.
    """
    found = {call: 0 for call in calls if is_call_id(call)}
    ids, first = list(found), datetime.fromtimestamp(since, UTC) - CLOCK_MARGIN
    for start in range(0, len(ids), CALLS_A_STATEMENT):
        rows = UsageRecord.objects.filter(at__gte=first, call__in=ids[start : start + CALLS_A_STATEMENT])
        for call, prompt, completion in rows.values_list("call", "prompt_tokens", "completion_tokens"):
            found[call] += prompt + completion
    return found
