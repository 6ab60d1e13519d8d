"""A span of days as few sums: whole months, and the days at its ends, added or taken away, whichever are fewer.

A month's sum is one row where its days have thirty; a report about all keys and many months is read from months.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import NamedTuple

ONE = timedelta(days=1)
# Days that a report may be about: far from the ends of the calendar, at which sums of days overflow.
FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(2199, 12, 31)


class Part(NamedTuple):
    """Sums of months or of days, from the first to the last, that are to be added (1) or taken away (-1)."""

    months: bool
    since: date
    until: date
    sign: int = 1


def parse_day(text: str) -> date:
    """Returns an ISO 8601 day such as 2026-11-23; raises ValueError, in words for people, for what can't be one."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not a day: write it like 2026-11-23") from None
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(f"{text[:40]!r} is out of range: use a day from {FIRST_DAY} to {LAST_DAY}")
    return day


def parts(since: date, until: date, today: date) -> list[Part]:
    """Returns the parts that together are the days from `since` to `until`.

    Days after `today` cost nothing to take away: they have no rows.
    """
    found: list[Part] = []
    first = since.replace(day=1)
    while first <= until:
        last = last_of(first)
        found = joined(found, of_month(first, last, max(since, first), min(until, last), today))
        first = last + ONE
    return found


def of_month(first: date, last: date, since: date, until: date, today: date) -> list[Part]:
    """Returns the parts of a span within one month."""
    before, behind = (since - first).days, (min(last, max(today, until)) - until).days
    if before + behind > (until - since).days:
        return [Part(months=False, since=since, until=until)]
    found = [Part(months=True, since=first, until=first)]
    if since > first:
        found.append(Part(months=False, since=first, until=since - ONE, sign=-1))
    if until < last:
        found.append(Part(months=False, since=until + ONE, until=last, sign=-1))
    return found


def joined(found: list[Part], more: list[Part]) -> list[Part]:
    """Returns parts with those of the next month; months that follow each other are one part."""
    earlier = next((part for part in found if part.months), None)
    later = more[0]
    if earlier is None or not later.months:
        return found + more
    together = Part(months=True, since=earlier.since, until=later.until)
    return [part for part in found if part is not earlier] + [together, *more[1:]]


def last_of(first: date) -> date:
    """Returns the last day of the month that begins on a day."""
    return (first + timedelta(days=31)).replace(day=1) - ONE
