"""What a page shows of the usage of everybody, of a key or of a model: read from roll-ups alone."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Any, NamedTuple

from django.db.models import F, QuerySet, Sum

from usage.periods import Period, Table
from usage.rollups import EVERYONE, FIRST_BYTE_BOUNDS, FIRST_BYTE_BUCKETS, PLACES, SUMS, add, quantile

MOST = 10
TOKENS = Sum(F("prompt_tokens") + F("completion_tokens"))


class About(NamedTuple):
    """Whose usage is shown: everybody's, or that of one key, one model, or one key with one model."""

    key: str = ""
    model: str = ""

    def of(self, table: Table) -> QuerySet[Any, Any]:
        """Returns the rows that say it."""
        # Looked up by name: the three tables have these columns in common, their managers no type.
        rows = table._default_manager.filter(key=self.key or EVERYONE).order_by()  # noqa: SLF001 -- Django's documented way to a manager
        return rows.filter(model=self.model) if self.model else rows


class Share(NamedTuple):
    """What one key or model or route used."""

    name: str
    requests: int
    tokens: int


class Picture(NamedTuple):
    """Sums (in the order of SUMS) of each slot and of all, and who used the most."""

    points: Sequence[Sequence[int]]
    total: Sequence[int]
    keys: Sequence[Share]
    models: Sequence[Share]
    routes: Sequence[Share]


def picture(about: About, period: Period) -> Picture:
    """Reads all that a page shows."""
    points = series(about, period)
    total = [sum(column) for column in zip(*points, strict=True)]
    coarse = about.of(period.coarse).filter(start__gte=period.coarse_since)
    return Picture(
        points,
        total,
        keys=[] if about.key else greatest(everyones(about, period), "key"),
        models=[] if about.model else greatest(coarse, "model"),
        routes=greatest(coarse, "route"),
    )


def series(about: About, period: Period) -> list[list[int]]:
    """Returns the sums of each of the period's slots."""
    points = [[0] * len(SUMS) for _ in period.starts]
    rows = about.of(period.fine).filter(start__gte=period.since)
    for start, *sums in rows.values_list("start").annotate(**{f"sum_{name}": Sum(name) for name in SUMS}):
        slot = bisect_right(period.starts, moment(start)) - 1
        # A row from after the last slot can only come from a clock that runs ahead: it counts as now.
        add(points[slot], sums)
    return points


def moment(start: date) -> datetime:
    """Returns the moment at which an hour or a day begins."""
    return start if isinstance(start, datetime) else datetime.combine(start, time(), UTC)


def everyones(about: About, period: Period) -> QuerySet[Any, Any]:
    """Returns the rows of all keys, apart from each other."""
    rows = period.coarse._default_manager.filter(start__gte=period.coarse_since).exclude(key=EVERYONE).order_by()  # noqa: SLF001 -- likewise
    return rows.filter(model=about.model) if about.model else rows


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
