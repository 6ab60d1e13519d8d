"""Finds single calls: by an id, a key, an owner, a team, a model, a status, an error or a day."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, NamedTuple

from django.contrib.auth.models import User
from django.db.models import Q

from apikeys import keys
from apikeys.models import Key
from usage.lines import ID
from usage.models import RefusedDay, UsageRecord
from usage.reading import spellings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.models import QuerySet

# Of the keys and users whose names have a word, so many are looked at.
MOST_NAMED = 200
LONGEST_TERM = 200
CALL_ID = re.compile(r"[0-9a-f]{24}")
STATUS = re.compile(r"[1-5](?:\d\d|xx)", re.ASCII)
FAILED = "failed"
# A call went well that ended in one of these ways, with a status below 400.
WELL = ("done", "length")
LOWEST_ERROR = 400


class NotKept(NamedTuple):
    """Refused calls of some days: all of them, and those that no record is kept of."""

    seen: int
    unrecorded: int


def since(day: date) -> Q:
    """Returns the condition that a call ended on a day (UTC) or later."""
    return Q(at__gte=datetime.combine(day, time.min, UTC))


def until(day: date) -> Q:
    """Returns the condition that a call ended on a day (UTC) or before."""
    return Q(at__lte=datetime.combine(day, time.max, UTC))


def has_status(text: str) -> Q | None:
    """Returns the condition of a status (`429`), a class of them (`4xx`) or `failed`; None for any other text."""
    if text == FAILED:
        return Q(status__gte=LOWEST_ERROR) | ~Q(ended__in=WELL)
    if not STATUS.fullmatch(text):
        return None
    if text.endswith("xx"):
        return Q(status__range=(int(text[0]) * 100, int(text[0]) * 100 + 99))
    return Q(status=int(text))


def has_id(text: str) -> Q:
    """Returns the condition that a request, or a call, has this id; of a longer one its beginning is kept."""
    text = text.replace("\0", "")[:ID]
    if UsageRecord.objects.filter(request_id=text).exists():
        return Q(request_id=text)
    # Journals alone name calls so; no index knows them.
    return Q(call=text) if CALL_ID.fullmatch(text) else Q(pk=None)


def key_of(text: str) -> str:
    """Returns the id of a key that somebody typed as its id, or pasted whole."""
    return keys.find_id(text) or text


def find(calls: QuerySet[UsageRecord], term: str) -> QuerySet[UsageRecord]:
    """Returns the calls that what was typed into a search names; several words narrow it down further."""
    term = " ".join(term.replace("\0", "").split())[:LONGEST_TERM]
    if not term:
        return calls
    whole = named(term)
    if " " not in term or calls.filter(whole).exists():
        return calls.filter(whole)
    for word in term.split():
        calls = calls.filter(named(word))
    return calls


def named(term: str) -> Q:
    """Returns the condition that one term stands for; an id is looked up by its index alone."""
    key = key_of(term)
    if Key.objects.filter(key_id=key).exists() or UsageRecord.objects.filter(key=key).exists():
        return Q(key=key)
    by_id = has_id(term)
    if by_id != Q(pk=None):
        return by_id
    status = has_status(term.lower())
    if status is not None:
        return status
    day = as_day(term)
    if day is not None:
        return since(day) & until(day)
    labelled = Key.objects.filter(label__icontains=term).values_list("key_id", flat=True)[:MOST_NAMED]
    owners = User.objects.filter(username__icontains=term).values_list("pk", flat=True)[:MOST_NAMED]
    return (
        Q(key__in=list(labelled))
        | Q(owner__in=list(owners))
        | Q(team=term)
        | Q(model__in=spellings(term))
        | Q(error=term)
        | Q(user_agent__startswith=term)
    )


def as_day(text: str) -> date | None:
    """Returns the day that a text like `2026-11-28` names."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def not_kept(first: date, last: date, key: str = "", errors: Sequence[str] = ()) -> NotKept:
    """Returns how many calls were refused from one day to another, both included, and how many have no record."""
    rows = RefusedDay.objects.filter(day__range=(first, last))
    if key:
        rows = rows.filter(key=key)
    if errors:
        rows = rows.filter(error__in=errors)
    seen = unrecorded = 0
    for all_of_them, kept in rows.values_list("seen", "kept"):
        seen += all_of_them
        unrecorded += max(0, all_of_them - kept)
    return NotKept(seen, unrecorded)
