"""Calls that fail before they are admitted: counted all, kept up to a rate, out of the sums and the limits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import DatabaseError
from hypothesis import given
from hypothesis import strategies as st

from usage import refused_store
from usage.lately import lately
from usage.models import RefusedDay, UsageDay, UsageRecord
from usage.refused_calls import (
    KEPT_AT_ONCE,
    KEPT_OF_ALL,
    MOST_COUNTS,
    MOST_WAITING,
    SECONDS_EACH,
    Bucket,
    RefusedCalls,
)
from usage.refused_store import store_refused

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC).timestamp()


def said(**more: Any) -> dict[str, Any]:
    return {
        "call": "",
        "at": NOW,
        "key": "key1",
        "status": 429,
        "ended": "refused",
        "error": "rate_limited",
        "reason": "The limit is reached.",
        "route": "POST /api/chat",
        "total": 0.001,
        **more,
    }


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_of_a_flood_the_first_are_kept_and_then_some_at_a_steady_rate() -> None:
    clock = Clock()
    calls = RefusedCalls(clock)
    for _ in range(1000):
        calls.add(said())
    batch = calls.take()
    assert len(batch.records) == KEPT_AT_ONCE
    assert sum(batch.counts.values()) == 1000
    assert calls.unrecorded == 1000 - KEPT_AT_ONCE
    clock.now += 3 * SECONDS_EACH
    for _ in range(1000):
        calls.add(said())
    assert len(calls.take().records) == 3


def test_a_flood_of_one_error_hides_no_other_error_and_no_other_key() -> None:
    calls = RefusedCalls(Clock())
    for _ in range(1000):
        calls.add(said())
    calls.add(said(error="bad_request", status=400))
    calls.add(said(key="key2"))
    kept = {(record.key, record.error) for record in calls.take().records}
    assert {("key1", "bad_request"), ("key2", "rate_limited")} <= kept


def test_all_keys_together_are_bounded_too() -> None:
    calls = RefusedCalls(Clock())
    for key in range(KEPT_OF_ALL):
        for _ in range(3):
            calls.add(said(key=f"key{key}"))
    batch = calls.take()
    assert len(batch.records) == KEPT_OF_ALL
    assert sum(batch.counts.values()) == 3 * KEPT_OF_ALL


def test_memory_is_bounded_and_still_all_are_counted() -> None:
    calls = RefusedCalls(Clock())
    for number in range(MOST_COUNTS + 500):
        calls.add(said(key=f"key{number}"))
    batch = calls.take()
    assert len(batch.counts) <= MOST_COUNTS + 1
    assert len(batch.records) <= MOST_WAITING
    assert sum(batch.counts.values()) == MOST_COUNTS + 500


@given(st.lists(st.floats(0, 100), min_size=1, max_size=200))
def test_a_bucket_lets_pass_no_more_than_its_rate(pauses: list[float]) -> None:
    bucket, now, passed = Bucket(5, 2.0, 0.0), 0.0, 0
    for pause in pauses:
        now += pause
        if bucket.has_room(now):
            bucket.tokens -= 1
            passed += 1
        assert passed <= 5 + now / 2.0 + 1e-6


@pytest.mark.django_db
def test_they_are_stored_outside_of_all_sums_and_of_the_last_minute() -> None:
    calls = RefusedCalls(Clock())
    for _ in range(KEPT_AT_ONCE + 5):
        calls.add(said())
    assert store_refused(calls) is False
    assert UsageRecord.objects.filter(status=429, error="rate_limited").count() == KEPT_AT_ONCE
    assert not UsageDay.objects.exists()
    assert lately(NOW + 1) == []
    row = RefusedDay.objects.get()
    assert (row.key, row.status, row.error, row.seen, row.kept) == (
        "key1",
        429,
        "rate_limited",
        KEPT_AT_ONCE + 5,
        KEPT_AT_ONCE,
    )
    calls.add(said())
    store_refused(calls)
    assert RefusedDay.objects.get().seen == KEPT_AT_ONCE + 6


@pytest.mark.django_db
def test_what_the_database_does_not_take_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_batch: object) -> None:
        raise DatabaseError("away")

    calls = RefusedCalls(Clock())
    calls.add(said())
    with monkeypatch.context() as broken:
        broken.setattr(refused_store, "store", away)
        with pytest.raises(DatabaseError):
            store_refused(calls)
    store_refused(calls)
    assert UsageRecord.objects.get().reason == "The limit is reached."
    assert RefusedDay.objects.get().seen == 1
