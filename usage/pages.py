"""A page about usage: what the template shows, in its words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.conf import settings
from django.urls import reverse

from apikeys.models import Key
from usage.budgets import Spending, names, spendings
from usage.charts import Chart, Series, bars, lines
from usage.dimensions import DAY, MONTH
from usage.figures import duration, percent, short
from usage.names import labels, owners
from usage.periods import PERIODS, Period, between
from usage.pictures import About, Picture, Share, first_byte, number, picture
from usage.spans import FIRST_DAY, LAST_DAY, parse_day

# From how many percent on a budget is shown to everybody, and how many are.
NEAR, MOST_BUDGETS = 50, 8
WARN = 80
NANO = 1_000_000_000
PER = {DAY: "today", MONTH: "this month"}
FAULTS = ("failed", "cut", "lost")
DEFAULT = "week"
# With one end of a span given alone, it has so many days.
DAYS = 30
# A longer list to choose from helps nobody.
MOST_CHOICES = 200


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


class Choice(NamedTuple):
    """An entry of a list to choose from."""

    value: str
    name: str
    chosen: bool


def page(about: About, name: str, now: datetime | None = None, days: tuple[str, str] = ("", "")) -> dict[str, Any]:
    """Returns the context of a page about somebody's usage in the period of that name, or from one day to another."""
    moment = now or datetime.now(UTC)
    period, complaint = period_of(name, days, moment)
    found = picture(about, period)
    return {
        "about": about,
        "owner_name": owners({about.owner}).get(about.owner, str(about.owner)) if about.owner else "",
        "complaint": complaint,
        "since": period.first.date().isoformat(),
        "until": min(period.until, moment.date()).isoformat() if period.last is None else period.until.isoformat(),
        "latest": LAST_DAY.isoformat(),
        "earliest": FIRST_DAY.isoformat(),
        "page": reverse("admin:usage_usageday_changelist"),
        "csv": f"{reverse('admin:usage_usageday_changelist')}?"
        + urlencode({**about.only, **period.query, "format": "csv"}),
        "owner_choices": owner_choices(about.owner),
        "team_choices": team_choices(about.team),
        "label": labels({about.key}).get(about.key, about.key) if about.key else "",
        "period": period,
        "periods": [(each, PERIODS[each](moment).title, link(about, {"period": each})) for each in PERIODS],
        "empty": not number(found.total, "requests"),
        "tiles": tiles(found),
        "charts": charts(found, period),
        "tops": [top for top in tops(found, about, period.query) if len(top.rows) > (top.title == "Routes")],
        "budgets": budgets(about),
        "home": reverse("admin:index"),
        "period_query": urlencode(period.query),
    }


def period_of(name: str, days: tuple[str, str], now: datetime) -> tuple[Period, str]:
    """Returns the days that are asked for, or the period of that name, and what is wrong with the days."""
    complaint = ""
    if any(days):
        try:
            since = parse_day(days[0]) if days[0] else None
            until = parse_day(days[1]) if days[1] else max(now.date(), since or now.date())
            since = since or until - timedelta(days=DAYS - 1)
            if since <= until:
                return between(since, until), ""
            complaint = f"{since} comes after {until}: swap the days."
        except (ValueError, OverflowError) as error:
            complaint = f"{error}."
    return PERIODS.get(name, PERIODS[DEFAULT])(now), complaint


def owner_choices(chosen: int) -> list[Choice]:
    """Returns the users who own keys."""
    rows = Key.objects.exclude(owner=None).order_by("owner__username").values_list("owner_id", "owner__username")
    return [Choice(str(number), name, number == chosen) for number, name in rows.distinct()[:MOST_CHOICES]]


def team_choices(chosen: str) -> list[Choice]:
    """Returns the teams that have keys."""
    rows = Key.objects.exclude(team="").order_by("team").values_list("team", flat=True)
    return [Choice(team, team, team == chosen) for team in rows.distinct()[:MOST_CHOICES]]


def link(about: About, period: dict[str, str]) -> str:
    """Returns the address of the page about somebody's usage in a period."""
    if about == About():
        return f"{reverse('admin:index')}?{urlencode(period)}"
    return f"{reverse('admin:usage_usageday_changelist')}?{urlencode({**about.only, **period})}"


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


def tops(found: Picture, about: About, period: dict[str, str]) -> list[Top]:
    """Returns the lists of those who used the most."""
    named = labels({share.name for share in found.keys})
    users = owners({share.name for share in found.owners})
    return [
        Top(
            "Keys", rows(found.keys, lambda key: named.get(key, key), lambda key: link(about._replace(key=key), period))
        ),
        Top(
            "Models",
            rows(found.models, lambda model: model or "–", lambda model: link(about._replace(model=model), period)),
        ),
        Top(
            "Owners",
            rows(
                found.owners,
                lambda owner: users.get(owner, f"user {owner}"),
                lambda owner: link(about._replace(owner=owner), period),
            ),
        ),
        Top("Teams", rows(found.teams, str, lambda team: link(about._replace(team=team), period))),
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
    subjects = [f"{kind}:{about.only[kind]}" for kind in ("key", "owner", "team") if kind in about.only]
    if about.model and not subjects:
        return []
    found = spendings(settings.ENV.default_allowances, 0 if subjects else NEAR)
    if subjects:
        found = [one for one in found if one.subject in subjects]
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
