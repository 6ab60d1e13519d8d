"""What a page shows of the usage of everybody, of a key or of a model: read from roll-ups alone."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Any, NamedTuple

from django.db.models import F, QuerySet, Sum

from usage.models import UsageHour
from usage.periods import DAY, Period, Table
from usage.reading import lines
from usage.reports import Question
from usage.rollups import EVERYONE, FIRST_BYTE_BOUNDS, FIRST_BYTE_BUCKETS, PLACES, SUMS, add, quantile

MOST = 10
# What is shown as a list of those who used the most.
LISTS = ("key", "model", "route", "owner", "team")
TOKENS = Sum(F("prompt_tokens") + F("completion_tokens"))


class About(NamedTuple):
    """Whose usage is shown: everybody's, or that of a key, an owner (by number), a team, a model, or of several."""

    key: str = ""
    model: str = ""
    owner: int = 0
    team: str = ""

    @property
    def only(self) -> dict[str, Any]:
        """Returns what is given of it, by name."""
        return {name: value for name, value in self._asdict().items() if value}

    def of(self, table: Table) -> QuerySet[Any, Any]:
        """Returns the rows that say it."""
        # Looked up by name: the three tables have these columns in common, their managers no type.
        rows = table._default_manager.filter(**self.only).order_by()  # noqa: SLF001 -- Django's documented way to a manager
        if self.key:
            return rows
        return rows.exclude(key=EVERYONE) if self.owner or self.team else rows.filter(key=EVERYONE)


class Share(NamedTuple):
    """What one key or model or route used."""

    name: Any
    requests: int
    tokens: int


class Picture(NamedTuple):
    """Sums (in the order of SUMS) of each slot and of all, and who used the most."""

    points: Sequence[Sequence[int]]
    total: Sequence[int]
    keys: Sequence[Share]
    models: Sequence[Share]
    routes: Sequence[Share]
    owners: Sequence[Share] = ()
    teams: Sequence[Share] = ()


def picture(about: About, period: Period) -> Picture:
    """Reads all that a page shows."""
    points = series(about, period)
    total = [sum(column) for column in zip(*points, strict=True)]
    if period.last is not None:
        return Picture(points, total, **{f"{name}s": chosen(about, period, name) for name in LISTS})
    coarse = about.of(period.coarse).filter(start__gte=period.coarse_since)
    return Picture(
        points,
        total,
        keys=[] if about.key else greatest(everyones(about, period), "key"),
        models=[] if about.model else greatest(coarse, "model"),
        routes=greatest(coarse, "route"),
        owners=[] if about.key or about.owner else greatest(everyones(about, period).exclude(owner=0), "owner"),
        teams=[] if about.key or about.team else greatest(everyones(about, period).exclude(team=""), "team"),
    )


def chosen(about: About, period: Period, column: str) -> list[Share]:
    """Returns those who used the most tokens in chosen days, which may be many: whole months are read as such."""
    if getattr(about, column, ""):
        return []
    found = lines(Question(period.first.date(), period.until, (column,), about.only))
    shares = [Share(line.about[0], line.numbers.requests, line.numbers.tokens) for line in found if line.about[0]]
    return sorted(shares, key=lambda share: (-share.tokens, -share.requests, str(share.name)))[:MOST]


def series(about: About, period: Period) -> list[list[int]]:
    """Returns the sums of each of the period's slots."""
    points = [[0] * len(SUMS) for _ in period.starts]
    rows = about.of(period.fine).filter(start__gte=period.since)
    if period.last is not None:
        rows = rows.filter(start__lt=end_of(period))
    for start, *sums in rows.values_list("start").annotate(**{f"sum_{name}": Sum(name) for name in SUMS}):
        slot = bisect_right(period.starts, moment(start)) - 1
        # A row from after the last slot can only come from a clock that runs ahead: it counts as now.
        add(points[slot], sums)
    return points


def end_of(period: Period) -> datetime | date:
    """Returns where chosen days end, as the fine rows have it; it is no more among them."""
    end = period.until + DAY
    return datetime.combine(end, time(), UTC) if period.fine is UsageHour else end


def moment(start: date) -> datetime:
    """Returns the moment at which an hour or a day begins."""
    return start if isinstance(start, datetime) else datetime.combine(start, time(), UTC)


def everyones(about: About, period: Period) -> QuerySet[Any, Any]:
    """Returns the rows of all keys, apart from each other."""
    rows = period.coarse._default_manager.filter(start__gte=period.coarse_since, **about.only)  # noqa: SLF001 -- likewise
    return rows.exclude(key=EVERYONE).order_by()


def greatest(rows: QuerySet[Any, Any], column: str) -> list[Share]:
    """Returns those who used the most tokens, the greatest first."""
    found = rows.values_list(column).annotate(requests=Sum("requests"), tokens=TOKENS)
    return [Share(*row) for row in found.order_by("-tokens", "-requests", column)[:MOST]]


def number(sums: Sequence[int], *names: str) -> int:
    """Returns the sum of some of the sums."""
    return sum(sums[PLACES[name]] for name in names)


def first_byte(sums: Sequence[int], share: float) -> float | None:
    """Returns the seconds within which the first byte of this share of calls came."""
    return quantile(share, [sums[PLACES[name]] for name in FIRST_BYTE_BUCKETS], FIRST_BYTE_BOUNDS)
