"""The spans of time that a page can show, and the slots that its charts have."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from usage.models import UsageDay, UsageHour, UsageMonth

Table = type[UsageHour] | type[UsageDay] | type[UsageMonth]
MOST_TICKS = 5
# A chart of chosen days has so many slots at most; a day is the finest of more than a fortnight.
MOST_SLOTS = 120
FINE_DAYS, FORTNIGHT = 2, 14
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)


class Period(NamedTuple):
    """A span of time.

    Charts read `fine` rows into slots that begin at `starts`; lists of the greatest read the fewer rows of `coarse`.
    """

    name: str
    title: str
    fine: type[UsageHour | UsageDay]
    coarse: Table
    starts: list[datetime]
    label: str
    tick: str
    first: datetime
    # Of chosen days the last one; the others go on until now.
    last: date | None = None

    @property
    def since(self) -> datetime | date:
        """Returns where it begins, as the fine rows have it."""
        return self.first if self.fine is UsageHour else self.first.date()

    @property
    def coarse_since(self) -> datetime | date:
        """Returns where it begins, as the coarse rows have it."""
        return self.first if self.coarse is UsageHour else self.first.date()

    @property
    def query(self) -> dict[str, str]:
        """Returns what asks for this period in a link."""
        if self.last is None:
            return {"period": self.name}
        return {"since": self.first.date().isoformat(), "until": self.last.isoformat()}

    @property
    def until(self) -> date:
        """Returns its last day."""
        return self.last if self.last is not None else self.starts[-1].date()

    @property
    def slots(self) -> list[str]:
        """Returns the names of the slots."""
        return [f"{start:{self.label}}" for start in self.starts]

    @property
    def ticks(self) -> list[str]:
        """Returns short names of five slots at most, evenly from the first to the last."""
        last = len(self.starts) - 1
        count = min(last, MOST_TICKS - 1)
        return [f"{self.starts[round(number * last / max(1, count))]:{self.tick}}" for number in range(count + 1)]


def day(now: datetime) -> Period:
    """Returns the last 24 hours."""
    first = now.replace(minute=0, second=0, microsecond=0) - 23 * HOUR
    return Period("day", "24 hours", UsageHour, UsageHour, spread(first, HOUR, now), "%H:%M", "%H:%M", first)


def week(now: datetime) -> Period:
    """Returns this day and the six before, in parts of four hours."""
    first = midnight(now) - 6 * DAY
    return Period(
        "week", "7 days", UsageHour, UsageDay, spread(first, 4 * HOUR, now), "%a %d %b, %H:%M", "%a %d", first
    )


def month(now: datetime) -> Period:
    """Returns this day and the 29 before."""
    first = midnight(now) - 29 * DAY
    return Period("month", "30 days", UsageDay, UsageDay, spread(first, DAY, now), "%a %d %b", "%d %b", first)


def year(now: datetime) -> Period:
    """Returns this month and the eleven before, in weeks."""
    first = midnight(now).replace(year=now.year - (now.month < 12), month=now.month % 12 + 1, day=1)  # noqa: PLR2004 -- December
    return Period(
        "year", "12 months", UsageDay, UsageMonth, spread(first, WEEK, now), "week from %d %b %Y", "%b %Y", first
    )


def between(since: date, until: date) -> Period:
    """Returns the days from one to another, both included, in as many slots as a chart has room for."""
    first = datetime.combine(since, time(), UTC)
    days = (until - since).days + 1
    title = f"{since} to {until}" if days > 1 else f"{since}"
    end = datetime.combine(until, time(23, 59), UTC)
    if days <= FINE_DAYS:
        return Period(
            "chosen", title, UsageHour, UsageDay, spread(first, HOUR, end), "%d %b, %H:%M", "%H:%M", first, until
        )
    if days <= FORTNIGHT:
        starts = spread(first, 4 * HOUR, end)
        return Period("chosen", title, UsageHour, UsageDay, starts, "%a %d %b, %H:%M", "%d %b", first, until)
    step = -(-days // MOST_SLOTS) if days > MOST_SLOTS else 1
    label = "%a %d %b %Y" if step == 1 else f"{step} days from %d %b %Y"
    tick = "%d %b" if days <= 2 * MOST_SLOTS else "%b %Y"
    return Period("chosen", title, UsageDay, UsageDay, spread(first, step * DAY, end), label, tick, first, until)


def midnight(now: datetime) -> datetime:
    """Returns the beginning of a moment's day."""
    return datetime.combine(now.date(), time(), UTC)


def spread(first: datetime, step: timedelta, now: datetime) -> list[datetime]:
    """Returns the beginnings of all slots up to now."""
    return [first + number * step for number in range((now - first) // step + 1)]


PERIODS: dict[str, Callable[[datetime], Period]] = {"day": day, "week": week, "month": month, "year": year}
