"""The feed: the ring follows the database, and outlives its absence."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from apikeys import feed as feed_module
from apikeys.feed import KeyFeed
from apikeys.keyring import Entry, KeyRing, ring
from apikeys.models import Key, KeyRevision
from tests.harness import wait_until


def test_loading_takes_all_keys_but_the_revoked(own_feed: KeyFeed) -> None:
    good, _ = Key.objects.issue(label="good")
    bad, _ = Key.objects.issue(label="bad")
    bad.revoke()
    own_feed.load()
    assert good.key_id in ring
    assert bad.key_id not in ring


def test_a_poll_brings_a_new_key(own_feed: KeyFeed) -> None:
    own_feed.load()
    key, _ = Key.objects.issue(label="new", expires=timezone.now() + timedelta(days=1))
    assert key.key_id not in ring
    own_feed.poll()
    principal = ring.find(key.key_id, [bytes.fromhex(key.digest)], now=0).principal
    assert (principal.label, principal.expires_at) == ("new", key.expires.timestamp())


def test_a_poll_takes_a_revoked_key_away(own_feed: KeyFeed) -> None:
    key, _ = Key.objects.issue(label="Ana")
    own_feed.load()
    key.revoke()
    own_feed.poll()
    assert key.key_id not in ring


def test_a_poll_takes_over_changes(own_feed: KeyFeed) -> None:
    key, _ = Key.objects.issue(label="old")
    own_feed.load()
    Key.objects.filter(pk=key.pk).update(label="new")
    own_feed.poll()
    assert ring.find(key.key_id, [bytes.fromhex(key.digest)], now=0).principal.label == "new"


@pytest.mark.parametrize("read", [KeyFeed.load, KeyFeed.poll], ids=["load", "poll"])
def test_scopes_and_models_reach_the_principal(own_feed: KeyFeed, read: Callable[[KeyFeed], None]) -> None:
    key, _ = Key.objects.issue(label="Ana", scopes="inference,manage", models="mistral,me/*")
    read(own_feed)
    principal = ring.find(key.key_id, [bytes.fromhex(key.digest)], now=0).principal
    assert principal.scopes == {"inference", "manage"}
    assert principal.models == ("mistral", "me/*")


def test_an_idle_poll_is_one_query(own_feed: KeyFeed, django_assert_num_queries: object) -> None:
    Key.objects.issue(label="Ana")
    own_feed.load()
    with django_assert_num_queries(1):
        own_feed.poll()


def test_a_poll_reads_nothing_but_what_changed(own_feed: KeyFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        Key.objects.issue(label=str(number))
    own_feed.load()
    Key.objects.issue(label="new")
    taken = []
    change = ring.change

    def watched(entries: list[Entry], *rest: object) -> None:
        taken.extend(entry.principal.label for entry in entries)
        change(entries, *rest)

    monkeypatch.setattr(ring, "change", watched)
    own_feed.poll()
    own_feed.poll()
    assert taken == ["new"]


def test_an_older_database_put_back_is_read_anew(own_feed: KeyFeed) -> None:
    key, _ = Key.objects.issue(label="Ana")
    for _ in range(3):
        key.save()
    own_feed.load()
    ring.replace([])
    KeyRevision.objects.update(latest=1)
    own_feed.poll()
    assert key.key_id in ring


@pytest.fixture
def quick_feed(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyFeed]:
    """A feed whose thread goes round quickly over a database that a test plays."""
    monkeypatch.setattr(feed_module, "POLL_SECONDS", 0.01)
    made = KeyFeed(KeyRing())
    monkeypatch.setattr(made, "load", lambda: None)
    monkeypatch.setattr(made, "poll", lambda: None)
    yield made
    made.stop()


def _lose(*_: object) -> None:
    raise OperationalError("the server closed the connection")


def test_the_feed_outlives_an_outage_and_then_reads_all_anew(
    quick_feed: KeyFeed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "apikeys.feed")
    attempts, loads = [], []
    quick_feed.start()

    def lose() -> None:
        attempts.append(1)
        _lose()

    monkeypatch.setattr(quick_feed, "load", lose)
    monkeypatch.setattr(quick_feed, "poll", lose)
    wait_until(lambda: len(attempts) > 5, 5)
    monkeypatch.setattr(quick_feed, "load", lambda: loads.append(1))
    monkeypatch.setattr(quick_feed, "poll", lambda: None)
    wait_until(lambda: len(caplog.records) == 2, 5)
    assert loads == [1]
    lost, back = caplog.records
    assert lost.levelname == "ERROR"
    assert "OperationalError" in lost.getMessage()
    assert back.levelname == "WARNING"


def test_even_a_surprise_does_not_end_the_feed(quick_feed: KeyFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    polls = []

    def surprise() -> None:
        polls.append(1)
        raise ZeroDivisionError

    monkeypatch.setattr(quick_feed, "poll", surprise)
    monkeypatch.setattr(quick_feed, "load", lambda: polls.append(2) if polls else None)
    quick_feed.start()
    wait_until(lambda: 2 in polls, 5)


def test_a_database_that_is_away_at_start_stops_the_start(quick_feed: KeyFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick_feed, "load", _lose)
    with pytest.raises(OperationalError):
        quick_feed.start()


@pytest.mark.anyio
async def test_waiting_lasts_until_a_poll_that_began_later(
    quick_feed: KeyFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    polling, go_on, polls = threading.Event(), threading.Event(), []

    def slow() -> None:
        polls.append(1)
        polling.set()
        assert go_on.wait(5)

    monkeypatch.setattr(quick_feed, "poll", slow)
    quick_feed.start()
    assert await asyncio.to_thread(polling.wait, 5)
    waiting = asyncio.create_task(quick_feed.refreshed(timeout=5))
    await asyncio.sleep(0)
    # The poll under way may have read before the key was stored, so its end is not enough.
    go_on.set()
    assert await waiting is True
    assert len(polls) >= 2


@pytest.mark.anyio
async def test_waiting_is_bounded(quick_feed: KeyFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    monkeypatch.setattr(quick_feed, "poll", lambda: never.wait(5))
    quick_feed.start()
    assert await quick_feed.refreshed(timeout=0.05) is False
    never.set()


@pytest.mark.anyio
async def test_who_has_waited_in_vain_is_not_told_that_a_key_is_unknown(
    quick_feed: KeyFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = threading.Event()
    quick_feed.start()
    assert await quick_feed.refreshed() is True
    assert not quick_feed.unsure
    monkeypatch.setattr(quick_feed, "poll", lambda: never.wait(5))  # the database hangs, and says nothing
    assert await quick_feed.refreshed() is False
    assert quick_feed.unsure
    assert not quick_feed.lost
    never.set()
    assert await quick_feed.refreshed(timeout=5) is True
    assert not quick_feed.unsure


@pytest.mark.anyio
async def test_those_who_wait_hear_of_an_outage(quick_feed: KeyFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick_feed, "poll", _lose)
    quick_feed.start()
    monkeypatch.setattr(quick_feed, "load", _lose)
    assert await quick_feed.refreshed(timeout=5) is False


@pytest.mark.anyio
async def test_a_feed_that_does_not_run_keeps_nobody_waiting() -> None:
    assert await KeyFeed(KeyRing()).refreshed(timeout=60) is False


@pytest.mark.anyio
async def test_stopping_lets_those_who_wait_go(quick_feed: KeyFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "POLL_SECONDS", 60)
    quick_feed.start()
    waiting = asyncio.create_task(quick_feed.refreshed(timeout=60))
    await asyncio.sleep(0)
    await asyncio.to_thread(quick_feed.stop)
    assert await waiting is False
