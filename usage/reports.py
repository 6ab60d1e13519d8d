"""What was used, by day, key, owner, team, model or route: read from roll-ups alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

from django.db.models import Q, QuerySet, Sum

from usage.models import UsageDay
from usage.rollups import EVERYONE

# What usage can be told apart by, and the column that says it.
COLUMNS = {"day": "start", "key": "key", "owner": "owner", "team": "team", "model": "model", "route": "route"}
# Whoever asks by one of these wants the keys' own rows; everybody's sums are enough for the others.
OF_KEYS = frozenset({"key", "owner", "team"})
COUNTED = (
    "requests",
    "refused",
    "failed",
    "left",
    "cut",
    "lost",
    "prompt_tokens",
    "completion_tokens",
    "estimated_tokens",
)
SUMS = {**{name: Sum(name) for name in COUNTED}, "gpu_nanoseconds": Sum("gpu_nanoseconds")}
NANO = 1_000_000_000


class Numbers(NamedTuple):
    """What some calls come to: how many, how many of them ended badly in which way, and what they cost."""

    requests: int = 0
    refused: int = 0
    failed: int = 0
    left: int = 0
    cut: int = 0
    lost: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated_tokens: int = 0
    gpu_seconds: float = 0.0

    @property
    def tokens(self) -> int:
        """Returns the tokens read and written."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def errors(self) -> int:
        """Returns the calls that failed through no fault of their client."""
        return self.failed + self.cut + self.lost


class Line(NamedTuple):
    """One line of a report: what it is about, in the order of the question's `by`, and its numbers."""

    about: tuple[Any, ...]
    numbers: Numbers


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody wants to know: the days from `since` to `until`, both included, told apart by `by`.

    `key` and its like ask for one key's (owner's, team's, model's) usage only.
    """

    since: date
    until: date
    by: Sequence[str] = ("day", "model")
    only: dict[str, Any] = field(default_factory=dict)


def lines(question: Question, *, after: Sequence[Any] | None = None, most: int | None = None) -> list[Line]:
    """Returns a report's lines in the order of what they are about, up to `most` of those that follow `after`."""
    columns = [COLUMNS[name] for name in question.by]
    rows = asked(question)
    if after is not None:
        rows = rows.filter(behind(columns, after))
    found = rows.values_list(*columns).annotate(**SUMS).order_by(*columns)
    count = len(columns)
    return [Line(row[:count], numbers(row[count:])) for row in (found if most is None else found[:most])]


def total(question: Question) -> Numbers:
    """Returns the numbers of all that a question asks for."""
    found = asked(question).aggregate(**SUMS)
    return numbers([found[name] for name in SUMS])


def asked(question: Question) -> QuerySet[UsageDay]:
    """Returns the rows that a question is about, unordered."""
    rows = UsageDay.objects.filter(start__range=(question.since, question.until)).order_by()
    if OF_KEYS.isdisjoint((*question.by, *question.only)):
        rows = rows.filter(key=EVERYONE)
    elif "key" not in question.only:
        rows = rows.exclude(key=EVERYONE)
    only = dict(question.only)
    if "model" in only:
        rows = rows.filter(model__in=spellings(only.pop("model")))
    return rows.filter(**{COLUMNS[name]: value for name, value in only.items()})


def spellings(model: str) -> list[str]:
    """Returns how a model may be written in a roll-up: without a tag, a name means the tag `latest`."""
    return [model] if ":" in model else [model, f"{model}:latest"]


def behind(columns: Iterable[str], values: Iterable[Any]) -> Q:
    """Returns the condition that a row comes after these values in the order of these columns."""
    condition, equal = Q(), Q()
    for column, value in zip(columns, values, strict=True):
        condition |= equal & Q(**{f"{column}__gt": value})
        equal &= Q(**{column: value})
    # Redundant, but an index can begin with it.
    first, value = next(iter(zip(columns, values, strict=True)))
    return Q(**{f"{first}__gte": value}) & condition


def numbers(sums: Sequence[int | None]) -> Numbers:
    """Returns the numbers of a row's sums."""
    *counted, nanoseconds = (value or 0 for value in sums)
    return Numbers(**dict(zip(COUNTED, counted, strict=True)))._replace(gpu_seconds=round(nanoseconds / NANO, 3))


def as_dict(line: Line, by: Sequence[str]) -> dict[str, Any]:
    """Returns a line as it is written in JSON and CSV."""
    return {**{name: shown(value) for name, value in zip(by, line.about, strict=True)}, **of(line.numbers)}


def of(numbers: Numbers) -> dict[str, Any]:
    """Returns numbers as they are written in JSON and CSV."""
    return {**numbers._asdict(), "tokens": numbers.tokens, "errors": numbers.errors}


def shown(value: Any) -> Any:
    """Returns what a line is about as it is written: days as `2026-11-23`."""
    return value.isoformat() if isinstance(value, date) else value


FIELDS = tuple(of(Numbers()))
