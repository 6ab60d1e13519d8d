"""A span of days in as few sums as there are: nothing left out, nothing twice."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from usage.spans import Part, last_of, parts

DAYS = st.dates(date(2023, 11, 1), date(2027, 3, 1))


def days_of(part: Part) -> list[date]:
    until = last_of(part.until) if part.months else part.until
    return [part.since + timedelta(days=number) for number in range((until - part.since).days + 1)]


@given(DAYS, DAYS, DAYS)
def test_the_parts_are_the_span(one: date, other: date, today: date) -> None:
    since, until = sorted((one, other))
    counts: Counter[date] = Counter()
    for part in parts(since, until, today):
        for day in days_of(part):
            counts[day] += part.sign
    wanted = days_of(Part(months=False, since=since, until=until))
    assert {day: count for day, count in counts.items() if count} == dict.fromkeys(wanted, 1)


@given(DAYS, DAYS, DAYS)
def test_few_days_are_read_however_long_it_is(one: date, other: date, today: date) -> None:
    since, until = sorted((one, other))
    found = parts(since, until, max(today, until))
    assert sum(part.months for part in found) <= 1
    assert sum(len(days_of(part)) for part in found if not part.months and part.since <= today) <= 2 * 31


def test_a_year_up_to_now_is_a_row_a_month() -> None:
    today = date(2026, 11, 25)
    read = [part for part in parts(date(2026, 1, 1), today, today) if part.since <= today]
    assert read == [Part(months=True, since=date(2026, 1, 1), until=date(2026, 11, 1))]
