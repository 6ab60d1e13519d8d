"""Answers questions about usage from roll-ups alone, a page at a time: each costs no more than it shows, or ROWS."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.db.models import Count, Q, QuerySet, Value

from usage.models import UsageDay, UsageMonth
from usage.reports import COLUMNS, OF_KEYS, SUMS, Line, Numbers, Question, numbers
from usage.rollups import EVERYONE
from usage.spans import parts

# The rows of many keys that one page reads: some twenty milliseconds.
ROWS = 10_000


class Page(NamedTuple):
    """A part of a report: its lines, and whether more follow the last of them."""

    lines: list[Line]
    more: bool = False


def order(by: Sequence[str]) -> list[int]:
    """Returns in which order a report's columns sort its lines: by day, then by key, as indexes have their rows."""
    return sorted(range(len(by)), key=lambda place: {"day": 0, "key": 1}.get(by[place], 2))


def lines(question: Question) -> list[Line]:
    """Returns all of a report's lines, in order."""
    return page(question, None, None).lines


def page(question: Question, after: Sequence[Any] | None, most: int | None) -> Page:
    """Returns up to `most` of a report's lines that follow `after`: fewer where those of many keys were to be read."""
    if most is None or not of_many_keys(question):
        found = answer(question, after, most)
        return Page(found[:most], more=most is not None and len(found) > most)
    rest = begun(question, dict(zip(question.by, after or (), strict=False)))
    found = []
    while not found:
        part = bounded(rest)
        found = answer(part, after, most)
        if part == rest:
            return Page(found[:most], more=len(found) > most)
        # A key of a month need not be one of a span that begins within it: then there is nothing yet.
        rest = begun(rest, {"day": part.until, "key": part.last_key})
    return Page(found[:most], more=True)


def answer(question: Question, after: Sequence[Any] | None, most: int | None) -> list[Line]:
    """Returns the lines that follow `after`, at least one more than `most` where there are so many."""
    months = of_many_keys(question) and "day" not in question.by
    return summed(question, after) if months else read(question, after, most)


def read(question: Question, after: Sequence[Any] | None, most: int | None) -> list[Line]:
    """Returns a report's lines from the sums of days, one more than `most`."""
    columns = [COLUMNS[name] for name in question.by]
    ordered = [columns[place] for place in order(question.by)]
    rows = chosen(UsageDay.objects.filter(start__range=(question.since, question.until)), question)
    if after is not None:
        rows = rows.filter(behind(ordered, [after[place] for place in order(question.by)]))
    found = grouped(rows, columns).order_by(*ordered)
    count = len(columns)
    return [Line(row[:count], numbers(row[-len(SUMS) :])) for row in (found if most is None else found[: most + 1])]


def summed(question: Question, after: Sequence[Any] | None = None) -> list[Line]:
    """Returns a report's lines from the sums of months, as far as they fit: it tells no days apart."""
    columns = [COLUMNS[name] for name in question.by]
    count = len(columns)
    found: dict[tuple[Any, ...], list[int]] = {}
    for part in parts(question.since, question.until, datetime.now(UTC).date()):
        table = UsageMonth if part.months else UsageDay
        rows = chosen(table.objects.filter(start__range=(part.since, part.until)), question)
        for row in grouped(rows, columns):
            sums = found.get(row[:count])
            if sums is None:
                sums = found[row[:count]] = [0] * len(SUMS)
            for place, amount in enumerate(row[-len(SUMS) :]):
                sums[place] += part.sign * (amount or 0)
    # A call that is stored between two of these readings can be missing from the first of them.
    used = [(about, [max(0, amount) for amount in sums]) for about, sums in found.items() if sums[0] > 0]
    places = order(question.by)

    def rank(about: Sequence[Any]) -> list[Any]:
        return [about[place] for place in places]

    behind_it = used if after is None else [(about, sums) for about, sums in used if rank(about) > rank(after)]
    return [Line(about, numbers(sums)) for about, sums in sorted(behind_it, key=lambda one: rank(one[0]))]


def grouped(rows: QuerySet[Any, Any], columns: Sequence[str]) -> QuerySet[Any, Any]:
    """Returns the sums of rows that are alike in some columns; of all rows, where there is none."""
    # Without a column to group by Django would group by all.
    alike = rows if columns else rows.annotate(all=Value(0)).values("all")
    sums: QuerySet[Any, Any] = alike.values_list(*(columns or ["all"])).annotate(**SUMS)
    return sums


def begun(question: Question, seen: dict[str, Any]) -> Question:
    """Returns a question about many keys from the last day or key on that was seen."""
    if "day" in question.by:
        return replace(question, since=seen.get("day", question.since))
    return replace(question, first_key=seen.get("key", "")) if "key" in question.by else question


def bounded(question: Question) -> Question:
    """Returns what of a question about many keys one page answers: some days or some keys, of about ROWS rows."""
    if "day" in question.by:
        rows = chosen(UsageDay.objects.filter(start__range=(question.since, question.until)), question)
        return replace(question, until=horizon(rows, "start") or question.until)
    if "key" in question.by:
        rows = chosen(UsageMonth.objects.filter(start__range=(question.since.replace(day=1), question.until)), question)
        return replace(question, last_key=horizon(rows, "key") or "")
    return question


def horizon(rows: QuerySet[Any, Any], column: str) -> Any:
    """Returns the value of a column up to which there are ROWS rows, or two values: None where there are fewer."""
    seen = 0
    counts = rows.values_list(column).annotate(Count("pk")).order_by(column)
    for place, (value, count) in enumerate(counts.iterator(50)):
        seen += count
        if seen > ROWS and place > 0:
            return value
    return None


def total(question: Question) -> Numbers:
    """Returns the numbers of all that a question asks for."""
    everything = replace(question, by=())
    found = summed(everything) if of_many_keys(everything) else read(everything, None, None)
    return found[0].numbers if found else Numbers()


def of_many_keys(question: Question) -> bool:
    """Tells whether the rows of many keys are to be read: everybody's sums are few, and so are those of one key."""
    return not OF_KEYS.isdisjoint((*question.by, *question.only)) and "key" not in question.only


def chosen(rows: QuerySet[Any, Any], question: Question) -> QuerySet[Any, Any]:
    """Returns those of a period's rows that a question is about, unordered."""
    if of_many_keys(question):
        rows = rows.filter(key__gte=question.first_key) if question.first_key else rows.exclude(key=EVERYONE)
        if question.last_key:
            rows = rows.filter(key__lte=question.last_key)
    elif "key" not in question.only:
        rows = rows.filter(key=EVERYONE)
    only = dict(question.only)
    if "model" in only:
        rows = rows.filter(model__in=spellings(only.pop("model")))
    return rows.filter(**{COLUMNS[name]: value for name, value in only.items()}).order_by()


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
