"""What was spent before: summed from the roll-ups, as the ledger takes it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from apikeys.keyring import KeyRing
from tests.usage.journals import ended
from usage.allowances import Allowances
from usage.applying import store
from usage.counters import Rate, Requests
from usage.dimensions import Allowance
from usage.lately import resume
from usage.ledger import Clock, Ledger
from usage.lines import Record, read
from usage.spent import charged, new_budgets, spent, spent_of

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC).timestamp()


def at(*moment: int) -> float:
    return datetime(*moment, tzinfo=UTC).timestamp()  # type: ignore[misc] # year, month, day and so on


def record(call: str = "a" * 24, **said: Any) -> Record:
    found = read(orjson.dumps(ended(call, **said)))
    assert isinstance(found, Record)
    return found


@pytest.mark.django_db
def test_day_month_and_all_are_told_apart() -> None:
    store(
        [
            record(at=at(2026, 3, 15, 0, 0, 0), prompt_tokens=1, completion_tokens=0),
            record(at=at(2026, 3, 14, 23, 59, 59), prompt_tokens=10, completion_tokens=0, team="lab"),
            record(at=at(2026, 2, 28, 23, 59, 59), prompt_tokens=0, completion_tokens=100, owner=3),
        ]
    )
    assert spent(NOW) == {
        ("key:key1", "tokens_per_day"): 1,
        ("key:key1", "tokens_per_month"): 11,
        ("key:key1", "tokens_total"): 111,
        ("team:lab", "tokens_per_month"): 10,
        ("team:lab", "tokens_total"): 10,
        ("owner:3", "tokens_total"): 100,
    }


@pytest.mark.django_db
def test_nothing_spent_is_nothing() -> None:
    assert spent(NOW) == {}


@pytest.mark.django_db
def test_a_ledger_goes_on_where_the_last_one_ended() -> None:
    store([record(at=NOW - 60, key="one", prompt_tokens=30, completion_tokens=40)])
    ledger = Ledger(step=10, clock=Clock(time=lambda: NOW))
    ledger.restore(spent(NOW))
    for dimension in ("tokens_per_day", "tokens_per_month", "tokens_total"):
        assert ledger.room(Allowance("key:one", dimension, 100))[0] == 30


@pytest.mark.django_db
def test_a_restart_lets_nobody_ask_more_than_a_minute_allows() -> None:
    store(
        [
            record("old", at=NOW - 61, total=1),
            record("long", at=NOW - 10, total=55),  # it began before
            record("first", at=NOW - 30, total=20, prompt_tokens=100, completion_tokens=100),
            record("second", at=NOW - 20, total=2, owner=3),
            record("ahead", at=NOW + 5, total=0),  # the clock went back
            record("other", at=NOW - 20, key="other"),
        ]
    )
    ring = KeyRing()
    ring.replace([], {"owner:3": (("requests_per_minute", 100),)})
    allowances = Allowances({"requests_per_minute": 4, "tokens_per_minute": 600}, ring)
    ledger = Ledger(step=10, clock=Clock(lambda: 1000.0, lambda: NOW))
    resume(ledger, allowances, NOW)
    assert ledger.room(Allowance("key:key1", "requests_per_minute", 4)) == (1, 60.0)
    assert ledger.room(Allowance("owner:3", "requests_per_minute", 100)) == (99, 38.0)
    requests, rate = (
        ledger.account("key:key1").counter(dimension) for dimension in ("requests_per_minute", "tokens_per_minute")
    )
    assert isinstance(requests, Requests)
    assert isinstance(rate, Rate)
    assert requests.minute.wait(3, 1000.0) == 10.0
    # Ten tokens a second: 200 of 50 s ago, 30 of 22 s ago, 30 of 0 s ago; and what the long one said.
    assert rate.flow.due == pytest.approx(1003.0)


@pytest.mark.django_db
def test_what_is_charged_of_calls_is_what_their_records_say() -> None:
    one, other, unknown = (f"{number:024x}" for number in range(3))
    store(
        [
            record(one, at=NOW, prompt_tokens=10, completion_tokens=20),
            record(other, at=NOW + 5, prompt_tokens=1, completion_tokens=2),
        ]
    )
    asked = [one, other, unknown, f"{one}.1", "1f"]
    assert charged(asked, NOW) == {one: 30, other: 3, unknown: 0}
    assert charged([], NOW) == {}


@pytest.mark.django_db
def test_what_was_spent_of_some_budgets_is_what_was_spent_of_all() -> None:
    long_ago = record("b", key="key2", team="blue", at=NOW - 40 * 86_400)
    store([record("a", key="key1", owner=3, team="blue", at=NOW), long_ago])
    every = spent(NOW)
    assert len(every) > 8
    for budget, tokens in every.items():
        assert spent_of([budget, ("key:nobody", "tokens_total")], NOW) == {budget: tokens}
    assert spent_of(every, NOW) == every
    assert spent_of([], NOW) == {}


def test_a_budget_is_new_where_its_subject_had_none_of_its_kind() -> None:
    former = {"key:a": (("tokens_per_day", 5),), "team:x": (("concurrency", 1),)}
    following = {
        "key:a": (("tokens_per_day", 9), ("tokens_total", 100)),
        "team:x": (("concurrency", 1), ("tokens_per_month", 7)),
        "owner:3": (("requests_per_minute", 7), ("tokens_per_day", 8)),
    }
    assert new_budgets(former, former) == []
    assert new_budgets(former, following) == [
        ("key:a", "tokens_total"),
        ("team:x", "tokens_per_month"),
        ("owner:3", "tokens_per_day"),
    ]


class TestSums(TestCase):
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["one", "two"]),
                st.sampled_from([None, 1, 2]),
                st.sampled_from(["", "lab"]),
                st.floats(NOW - 40 * 86_400, NOW),
                st.integers(0, 1000),
            ),
            max_size=15,
        )
    )
    def test_all_that_was_used_is_spent_by_its_key_its_owner_and_its_team(
        self, calls: list[tuple[str, int | None, str, float, int]]
    ) -> None:
        store(
            [
                record(key=key, owner=owner, team=team, at=when, prompt_tokens=tokens, completion_tokens=1)
                for key, owner, team, when, tokens in calls
            ]
        )
        wanted: dict[tuple[str, str], int] = {}
        for key, owner, team, when, tokens in calls:
            moment, now = datetime.fromtimestamp(when, UTC), datetime.fromtimestamp(NOW, UTC)
            for subject in (f"key:{key}", owner and f"owner:{owner}", team and f"team:{team}"):
                for dimension, counts in (
                    ("tokens_per_day", moment.date() == now.date()),
                    ("tokens_per_month", (moment.year, moment.month) == (now.year, now.month)),
                    ("tokens_total", True),
                ):
                    if subject and counts:
                        wanted[subject, dimension] = wanted.get((subject, dimension), 0) + tokens + 1
        assert spent(NOW) == wanted
