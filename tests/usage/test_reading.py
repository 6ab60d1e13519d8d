"""Reports: whatever is asked, the lines are the sums of the calls, and pages together are the whole."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import permutations
from typing import Any

import orjson
import pytest

from tests.usage.journals import ended
from usage import reading
from usage.applying import store
from usage.lines import Record, read
from usage.reading import lines, page, total
from usage.reports import COLUMNS, Question

pytestmark = pytest.mark.django_db
TODAY = datetime.now(UTC).date()
FIRST = TODAY - timedelta(days=75)


@pytest.fixture
def calls() -> list[Record]:
    """A call for each key a day or so, of 75 days."""
    made = []
    for number in range(240):
        at = datetime.combine(FIRST + timedelta(days=number * 75 // 239), datetime.min.time(), UTC).timestamp() + 60
        key = f"key{number % 7}"
        made.append(
            read(
                orjson.dumps(
                    ended(
                        f"{number:024x}",
                        at=at,
                        key=key,
                        owner=number % 3 or None,
                        team=("", "lab")[number % 2],
                        model=("mistral", "llama3")[number % 5 == 0],
                        prompt_tokens=number,
                        completion_tokens=1,
                    )
                )
            )
        )
    store(made)
    return made


def about(call: Record, name: str) -> Any:
    if name == "day":
        return datetime.fromtimestamp(call.at, UTC).date()
    return getattr(call, name) or (0 if name == "owner" else "")


def wanted(calls: list[Record], question: Question) -> dict[tuple[Any, ...], tuple[int, int]]:
    found: dict[tuple[Any, ...], tuple[int, int]] = {}
    for call in calls:
        chosen = all(about(call, name) == value for name, value in question.only.items())
        if chosen and question.since <= about(call, "day") <= question.until:
            place = tuple(about(call, name) for name in question.by)
            requests, tokens = found.get(place, (0, 0))
            found[place] = (requests + 1, tokens + call.prompt_tokens + call.completion_tokens)
    return found


def questions() -> Iterator[Question]:
    spans = [(FIRST, TODAY), (FIRST + timedelta(days=9), TODAY - timedelta(days=11)), (TODAY, TODAY)]
    bys = [by for count in (1, 2) for by in permutations(COLUMNS, count)] + [("team", "model", "key", "day")]
    for number, by in enumerate(bys):
        for only in ({}, {"team": "lab"}, {"key": "key3"}, {"owner": 1, "model": "mistral"}):
            yield Question(*spans[number % 3], by, only)


def test_the_lines_of_every_report_are_the_sums_of_its_calls(calls: list[Record]) -> None:
    for question in questions():
        found = lines(question)
        sums = {line.about: (line.numbers.requests, line.numbers.tokens) for line in found}
        assert sums == wanted(calls, question), question
        assert len(sums) == len(found)
        whole = total(question)
        assert whole.requests == sum(requests for requests, _ in sums.values()), question


@pytest.mark.parametrize("rows", [1, 20, 10_000])
def test_pages_together_are_the_whole_however_little_one_may_read(
    calls: list[Record], monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(reading, "ROWS", rows)
    for question in questions():
        whole, found, after = lines(question), [], None
        while True:
            part = page(question, after, 50)
            found += part.lines
            assert len(part.lines) <= 50
            if not part.more:
                break
            after = part.lines[-1].about
        assert found == whole, question


def test_keys_of_a_month_that_were_not_used_in_the_span_do_not_end_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "ROWS", 1)
    made = []
    for number, (key, day) in enumerate([(f"a{number}", 2) for number in range(9)] + [("z", 20)]):
        at = datetime(2026, 3, day, tzinfo=UTC).timestamp()
        made.append(read(orjson.dumps(ended(f"{number:024x}", key=key, at=at))))
    store(made)
    found = page(Question(date(2026, 3, 15), date(2026, 3, 25), ("key",)), None, 10)
    assert [line.about for line in found.lines] == [("z",)]


def test_a_report_of_nothing_is_empty() -> None:
    question = Question(date(2020, 1, 1), date(2020, 12, 31), ("key",))
    assert lines(question) == []
    assert page(question, None, 10) == ([], False)
    assert total(question).requests == 0
