"""A key is never served without its limits: they are read with it, and hold before it does."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import FrameType
from typing import Any, NoReturn

import httpx
import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import OperationalError

from apikeys import snapshot_reader
from apikeys.feed import KeyFeed
from apikeys.keyring import ring
from apikeys.models import Allowance, Key
from apikeys.principal import Principal
from benchmarks.stub_client import StubProcess
from tests.harness import GatewayServer, wait_until
from tests.postgres import Postgres
from usage.allowances import Allowances

LIMIT = 10
CALLS = 24
SECONDS = 30


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Makes limits unreadable, until it is undone."""

    def refuse(_: object) -> NoReturn:
        raise OperationalError("canceling statement due to lock timeout")

    with monkeypatch.context() as patch:
        patch.setattr(snapshot_reader, "gathered", refuse)
        yield patch


def known(key: Key, number: int = 1) -> bool:
    """Tells whether a key's secret of that number is known."""
    return ring.current(Principal(key.key_id, key.label, secret_number=number)) is not None


READS = pytest.mark.parametrize("read", [KeyFeed.load, KeyFeed.poll], ids=["load", "poll"])


@READS
def test_a_key_whose_limits_cannot_be_read_is_not_served(
    own_feed: KeyFeed, unreadable: pytest.MonkeyPatch, read: Callable[[KeyFeed], None]
) -> None:
    key, _ = Key.objects.issue(label="new")
    with pytest.raises(OperationalError):
        read(own_feed)
    assert not known(key)
    unreadable.undo()
    read(own_feed)
    assert known(key)


ENDS: dict[str, Callable[[Key], object]] = {
    "revoked": Key.revoke,
    "disabled": lambda key: Key.objects.filter(pk=key.pk).disable(),
    "rotated": lambda key: key.rotate(timedelta(0)),
    "rotated twice": lambda key: (key.rotate(), key.rotate()),
}


@READS
@pytest.mark.parametrize("end", ENDS)
def test_a_secret_ends_though_limits_cannot_be_read(
    own_feed: KeyFeed, monkeypatch: pytest.MonkeyPatch, read: Callable[[KeyFeed], None], end: str
) -> None:
    key, _ = Key.objects.issue(label="old")
    own_feed.load()
    ENDS[end](key)
    told: list[int] = []
    own_feed.listeners.append(lambda: told.append(1))
    with monkeypatch.context() as patch:
        patch.setattr(snapshot_reader, "gathered", lambda _: 1 / 0)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                read(own_feed)
    assert not known(key)
    assert told == [1], "running calls of the secret are ended, once"


def test_what_cannot_be_read_yet_leaves_a_known_key_as_it_was(
    own_feed: KeyFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowances = Allowances({}, ring)
    key, _ = Key.objects.issue(label="Ana", limits={"requests_per_minute": 7})
    own_feed.load()
    principal = Principal(key.key_id, "Ana")
    key.new_limits = {"requests_per_minute": None}
    key.models = "mistral"
    key.save()
    with monkeypatch.context() as patch:
        patch.setattr(snapshot_reader, "gathered", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            own_feed.poll()
    assert [one.amount for one in allowances.of(principal)] == [7]
    assert ring.current(principal).models == ()  # type: ignore[union-attr]  # it is known
    own_feed.poll()
    assert allowances.of(principal) == ()
    assert ring.current(principal).models == ("mistral",)  # type: ignore[union-attr]  # it is known


def change(key: Key, team: str, amount: int | None) -> None:
    """Gives a key another team and another limit of its own, in one change."""
    key.team = team
    key.new_limits = {"requests_per_minute": amount}
    key.save()


# Each leaves the key limited to five requests a minute: by itself, its team, or its owner.
FIVE = {"requests_per_minute": 5}
MOVES: dict[str, Callable[[Key, User], None]] = {
    "to a team": lambda key, _: change(key, "limited", None),
    "to a team that is limited first": lambda key, _: (
        Allowance.limit("team", "new", "team new", FIVE),
        change(key, "new", None),
        Allowance.limit("team", "limited", "team limited", {"requests_per_minute": None}),
    ),
    "back": lambda key, _: change(key, "", 5),
    "to an owner": lambda key, owner: Key.objects.filter(pk=key.pk).update(owner=owner, team=""),
    "from its own limit to an owner's": lambda key, owner: (
        Allowance.limit("owner", str(owner.pk), "owner", FIVE),
        Key.objects.filter(pk=key.pk).update(owner=owner),
        key.refresh_from_db(),
        change(key, "", None),
    ),
}


@READS
@pytest.mark.parametrize("move", MOVES)
def test_a_key_is_under_the_limits_of_one_revision_whenever_it_is_asked_for(
    own_feed: KeyFeed, read: Callable[[KeyFeed], None], move: str
) -> None:
    owner = User.objects.create_user("owner")
    Allowance.limit("team", "limited", "team limited", FIVE)
    if move in ("to an owner", "back"):
        Allowance.limit("owner", str(owner.pk), "owner", FIVE)
        key, _ = Key.objects.issue(label="moves", team="limited")
    else:
        key, _ = Key.objects.issue(label="moves", limits=FIVE | {"tokens_per_day": 1000})
    allowances = Allowances({}, ring)
    own_feed.load()
    # A call that was let in before the change, and asks for its limits when its body has come.
    before = ring.snapshot.entries[key.key_id].principal
    key.refresh_from_db()
    MOVES[move](key, owner)
    seen: set[tuple[int, ...]] = set()
    places = 0

    def look(frame: FrameType, event: str, _argument: object) -> Any:
        """Looks between any two lines that the feed runs."""
        nonlocal places
        if "apikeys" not in frame.f_code.co_filename:
            return None
        if event == "line":
            places += 1
            sys.settrace(None)
            held = allowances.of(before)
            seen.add(tuple(one.amount for one in held if one.dimension == "requests_per_minute"))
            sys.settrace(look)
        return look

    tracer = sys.gettrace()
    sys.settrace(look)
    try:
        read(own_feed)
    finally:
        sys.settrace(tracer)
    assert places > 20
    assert seen == {(5,)}


def issue(server: GatewayServer, manager: str) -> str:
    """Issues a limited key through the API."""
    body = {"label": "new", "limits": {"requests_per_minute": LIMIT}}
    answer = httpx.post(f"{server.url}/api/v1/keys", headers={"X-API-Key": manager}, json=body, timeout=SECONDS)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["key"])


def statuses(server: GatewayServer, secret: str) -> list[int]:
    """Uses a key many times at once."""

    def ask(_: int) -> int:
        body = {"model": "stub", "prompt": "hi", "stream": False}
        headers = {"X-API-Key": secret}
        return httpx.post(f"{server.url}/api/generate", headers=headers, json=body, timeout=SECONDS).status_code

    with ThreadPoolExecutor(CALLS) as pool:
        return list(pool.map(ask, range(CALLS)))


@pytest.mark.parametrize("rounds", [5, pytest.param(60, marks=pytest.mark.long)])
def test_a_new_key_used_at_once_is_limited(gateway: GatewayServer, stub: StubProcess, rounds: int) -> None:
    manager = gateway.manage("createapikey", "manager", "--scopes", "inference,keys", "--quiet").stdout.strip()
    for _ in range(rounds):
        found = statuses(gateway, issue(gateway, manager))
        assert (found.count(200), found.count(429)) == (LIMIT, CALLS - LIMIT)


@pytest.fixture
def on_postgres(postgres: Postgres, stub: StubProcess) -> Iterator[GatewayServer]:
    settings = {"DATABASE_URL": postgres.url(f"limits_{secrets.token_hex(4)}")}
    with GatewayServer(ollama_url=stub.url, fresh=True, **settings) as server:
        yield server


ENABLE_WITH_A_LIMIT = """
    INSERT INTO apikeys_allowance (kind, subject, dimension, amount) VALUES ('key', %(id)s, 'requests_per_minute', 10);
    UPDATE apikeys_keyrevision SET latest = latest + 1;
    UPDATE apikeys_key SET enabled = true, revision = (SELECT latest FROM apikeys_keyrevision) WHERE key_id = %(id)s
"""
WAITS_FOR_A_LOCK = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"


def test_no_call_passes_while_the_limits_of_its_key_are_locked(on_postgres: GatewayServer) -> None:
    known, secret = (on_postgres.manage("createapikey", name, "--quiet").stdout.strip() for name in ("known", "new"))
    key_id = secret.split("_")[1]
    on_postgres.manage("disableapikey", key_id)
    wait_until(lambda: 200 in statuses(on_postgres, known), 10)
    url = on_postgres.settings["DATABASE_URL"]
    with psycopg.connect(url) as changing, psycopg.connect(url) as locking, ThreadPoolExecutor(1) as pool:
        for statement in ENABLE_WITH_A_LIMIT.split(";"):
            changing.execute(statement, {"id": key_id})
        # It waits for the change's commit, and whoever reads limits after that waits for it.
        lock = pool.submit(locking.execute, "LOCK TABLE apikeys_allowance IN ACCESS EXCLUSIVE MODE")
        wait_until(lambda: changing.execute(WAITS_FOR_A_LOCK).fetchone() == (1,), 10)
        changing.commit()
        lock.result(10)
        assert set(statuses(on_postgres, secret)) == {503}
        assert set(statuses(on_postgres, known)) == {200}
    wait_until(lambda: statuses(on_postgres, secret).count(200) > 0, 10)
    assert statuses(on_postgres, secret).count(200) == 0


REWRITE = "ALTER TABLE apikeys_allowance ALTER COLUMN amount TYPE bigint USING amount + 0"
WAITS_TO_READ = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessShareLock'"


def test_a_table_that_is_rewritten_while_it_is_read_does_not_look_empty(on_postgres: GatewayServer) -> None:
    secret = on_postgres.manage("createapikey", "new", "--quiet").stdout.strip()
    key_id = secret.split("_")[1]
    on_postgres.manage("disableapikey", key_id)
    url = on_postgres.settings["DATABASE_URL"]
    with (
        psycopg.connect(url) as changing,
        psycopg.connect(url) as rewriting,
        psycopg.connect(url, autocommit=True) as watching,
        ThreadPoolExecutor(1) as pool,
    ):
        for statement in ENABLE_WITH_A_LIMIT.split(";"):
            changing.execute(statement, {"id": key_id})
        rewritten = pool.submit(rewriting.execute, REWRITE)
        wait_until(lambda: watching.execute(WAITS_FOR_A_LOCK).fetchone() == (1,), 10)
        changing.commit()
        rewritten.result(10)
        # To a view of the database from before this commit, the table has no rows.
        wait_until(lambda: watching.execute(WAITS_TO_READ).fetchone() != (0,), 10)
        rewriting.commit()
    wait_until(lambda: statuses(on_postgres, secret)[0] != 503, 10)
    assert statuses(on_postgres, secret).count(200) == 0
