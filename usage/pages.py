"""A page about usage: what the template shows, in its words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.conf import settings
from django.urls import reverse

from usage.budgets import Spending, names, spendings
from usage.charts import Chart, Series, bars, lines
from usage.dimensions import DAY, MONTH
from usage.figures import duration, percent, short
from usage.names import labels
from usage.periods import PERIODS, Period
from usage.pictures import About, Picture, Share, first_byte, number, picture

# From how many percent on a budget is shown to everybody, and how many are.
NEAR, MOST_BUDGETS = 50, 8
WARN = 80
NANO = 1_000_000_000
PER = {DAY: "today", MONTH: "this month"}
FAULTS = ("failed", "cut", "lost")
DEFAULT = "week"


class Tile(NamedTuple):
    """One figure, with a word under it."""

    name: str
    value: str
    note: str = ""


class Row(NamedTuple):
    """One of those who used the most: its share (0 to 100) is its bar's length."""

    name: str
    link: str
    tokens: str
    requests: str
    share: float


class Top(NamedTuple):
    """A list of those who used the most."""

    title: str
    rows: Sequence[Row]


class BudgetRow(NamedTuple):
    """A budget and how much of it is spent."""

    name: str
    kind: str
    per: str
    spent: str
    amount: str
    percent: int
    state: str


def page(about: About, name: str, now: datetime | None = None) -> dict[str, Any]:
    """Returns the context of a page about somebody's usage in the period of that name."""
    moment = now or datetime.now(UTC)
    period = PERIODS.get(name, PERIODS[DEFAULT])(moment)
    found = picture(about, period)
    return {
        "about": about,
        "label": labels({about.key}).get(about.key, about.key) if about.key else "",
        "period": period,
        "periods": [(each, PERIODS[each](moment).title, link(about, each)) for each in PERIODS],
        "empty": not number(found.total, "requests"),
        "tiles": tiles(found),
        "charts": charts(found, period),
        "tops": [top for top in tops(found, about, period.name) if len(top.rows) > (top.title == "Routes")],
        "budgets": budgets(about),
        "home": reverse("admin:index"),
    }


def link(about: About, period: str) -> str:
    """Returns the address of the page about somebody's usage in a period."""
    if about == About():
        return f"{reverse('admin:index')}?{urlencode({'period': period})}"
    query = {**{name: value for name, value in about._asdict().items() if value}, "period": period}
    return f"{reverse('admin:usage_usageday_changelist')}?{urlencode(query)}"


def tiles(found: Picture) -> list[Tile]:
    """Returns the figures at the top."""
    total = found.total
    requests, faults = number(total, "requests"), number(total, *FAULTS)
    said_no, left = number(total, "refused"), number(total, "left")
    prompt, completion = number(total, "prompt_tokens"), number(total, "completion_tokens")
    cached, estimated = number(total, "cached_tokens"), number(total, "estimated_tokens")
    notes = [f"{short(count)} {word}" for count, word in ((said_no, "refused"), (left, "left by clients")) if count]
    return [
        Tile("Requests", short(requests), ", ".join(notes)),
        Tile(
            "Tokens",
            short(prompt + completion),
            f"{short(prompt)} read"
            + (f" ({percent(cached, prompt)} cached)" if cached else "")
            + f", {short(completion)} written"
            + (f", {percent(estimated, prompt + completion)} estimated" if estimated else ""),
        ),
        Tile("Errors", percent(faults, requests), f"{short(faults)} of {short(requests)}" if faults else "none"),
        Tile("First byte", duration(first_byte(total, 0.5)), f"95 % within {duration(first_byte(total, 0.95))}"),
        Tile("GPU time", duration(number(total, "gpu_nanoseconds") / NANO), "loading, reading, writing"),
    ]


def charts(found: Picture, period: Period) -> list[Chart]:
    """Returns the drawings."""
    slots, points = period.slots, found.points

    def of(*columns: str) -> list[float]:
        return [number(point, *columns) for point in points]

    cached = of("cached_tokens")
    good = [number(point, "requests") - number(point, *FAULTS, "refused", "left") for point in points]
    return [
        bars(
            "Requests",
            slots,
            [
                Series("answered", "usage-a", good),
                Series("left by clients", "usage-b", of("left")),
                Series("refused", "usage-c", of("refused")),
                Series("errors", "usage-bad", of(*FAULTS)),
            ],
            short,
        ),
        bars(
            "Tokens",
            slots,
            [
                Series("written", "usage-a", of("completion_tokens")),
                Series(
                    "read", "usage-b", [read - kept for read, kept in zip(of("prompt_tokens"), cached, strict=True)]
                ),
                *([Series("cached", "usage-c", cached)] if any(cached) else []),
            ],
            short,
        ),
        bars(
            "Errors",
            slots,
            [
                Series("failed", "usage-bad", of("failed")),
                Series("cut", "usage-c", of("cut")),
                Series("lost", "usage-b", of("lost")),
            ],
            short,
        ),
        lines(
            "Time to first byte",
            slots,
            [
                Series("half within", "usage-a", [first_byte(point, 0.5) for point in points]),
                Series("95 % within", "usage-c", [first_byte(point, 0.95) for point in points]),
            ],
            duration,
        ),
    ]


def tops(found: Picture, about: About, period: str) -> list[Top]:
    """Returns the lists of those who used the most."""
    named = labels({share.name for share in found.keys})
    return [
        Top(
            "Keys", rows(found.keys, lambda key: named.get(key, key), lambda key: link(about._replace(key=key), period))
        ),
        Top(
            "Models",
            rows(found.models, lambda model: model or "–", lambda model: link(about._replace(model=model), period)),
        ),
        Top("Routes", rows(found.routes, str, lambda _: "")),
    ]


def rows(shares: Sequence[Share], name: Any, address: Any) -> list[Row]:
    """Returns the lines of a list."""
    most = max((share.tokens for share in shares), default=0) or 1
    return [
        Row(
            name(share.name),
            address(share.name) if share.name else "",
            short(share.tokens),
            short(share.requests),
            round(100 * share.tokens / most, 1),
        )
        for share in shares
    ]


def budgets(about: About) -> list[BudgetRow]:
    """Returns the budgets near their end, or all of one key."""
    if about.model and not about.key:
        return []
    found = spendings(settings.ENV.default_allowances, 0 if about.key else NEAR)
    if about.key:
        found = [one for one in found if one.subject == f"key:{about.key}"]
    found = found[:MOST_BUDGETS]
    named = names(found)
    return [row(one, named[one.subject]) for one in found]


def row(one: Spending, name: str) -> BudgetRow:
    """Returns the line of a budget."""
    state = "spent" if one.percent >= 100 else "near" if one.percent >= WARN else "fine"  # noqa: PLR2004 -- all of it
    kind = one.subject.partition(":")[0]
    return BudgetRow(
        name, kind, PER.get(one.dimension, "in all"), short(one.spent), short(one.amount), min(one.percent, 100), state
    )
