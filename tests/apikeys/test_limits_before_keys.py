"""A key is never served without its limits: they are read with it, and hold before it does."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx
import psycopg
import pytest
from django.db import OperationalError

from apikeys.feed import KeyFeed, snapshot
from apikeys.keyring import Entry, ring
from apikeys.models import Allowance, Key
from benchmarks.stub_client import StubProcess
from tests.harness import GatewayServer, wait_until
from tests.postgres import Postgres
from usage.allowances import Allowances
from usage.following import AllowanceFollower

LIMIT = 10
CALLS = 24
SECONDS = 30


@dataclass
class Witness:
    """Notes the order of what a feed does."""

    events: list[str] = field(default_factory=list)
    unreadable: bool = False

    def read(self, _changed: object) -> Witness:
        self.events.append("read")
        if self.unreadable:
            raise OperationalError("canceling statement due to lock timeout")
        return self

    def add(self) -> None:
        self.events.append("add")

    def remove(self) -> None:
        self.events.append("remove")


@pytest.fixture
def witness(own_feed: KeyFeed, monkeypatch: pytest.MonkeyPatch) -> Witness:
    """Watches the test's feed; the keys that were there are loaded."""
    own_feed.load()
    made = Witness()
    own_feed.limit_reader = made
    put, replace = ring.put, ring.replace

    def noted_put(entry: Entry) -> None:
        made.events.append("put")
        put(entry)

    def noted_replace(entries: list[Entry]) -> None:
        made.events.append("put")
        replace(entries)

    monkeypatch.setattr(ring, "put", noted_put)
    monkeypatch.setattr(ring, "replace", noted_replace)
    return made


@pytest.mark.parametrize("read", [KeyFeed.load, KeyFeed.poll], ids=["load", "poll"])
def test_limits_come_before_keys_and_go_after_them(
    own_feed: KeyFeed, witness: Witness, read: Callable[[KeyFeed], None]
) -> None:
    Key.objects.issue(label="new", limits={"requests_per_minute": LIMIT})
    read(own_feed)
    assert witness.events == ["read", "add", "put", "remove"]


@pytest.mark.parametrize("read", [KeyFeed.load, KeyFeed.poll], ids=["load", "poll"])
def test_a_key_whose_limits_cannot_be_read_is_not_served(
    own_feed: KeyFeed, witness: Witness, read: Callable[[KeyFeed], None]
) -> None:
    key, _ = Key.objects.issue(label="new")
    witness.unreadable = True
    with pytest.raises(OperationalError):
        read(own_feed)
    assert key.key_id not in ring
    witness.unreadable = False
    read(own_feed)
    assert key.key_id in ring


@pytest.mark.parametrize("read", [KeyFeed.load, KeyFeed.poll], ids=["load", "poll"])
@pytest.mark.parametrize(
    "end", [Key.revoke, lambda key: Key.objects.filter(pk=key.pk).disable()], ids=["revoked", "disabled"]
)
def test_a_key_ends_though_limits_cannot_be_read(
    own_feed: KeyFeed, witness: Witness, read: Callable[[KeyFeed], None], end: Callable[[Key], object]
) -> None:
    key, _ = Key.objects.issue(label="old")
    own_feed.poll()
    assert key.key_id in ring
    end(key)
    witness.unreadable = True
    with pytest.raises(OperationalError):
        read(own_feed)
    assert key.key_id not in ring


def test_a_key_that_moves_to_another_team_is_under_one_of_the_two_limits_throughout(own_feed: KeyFeed) -> None:
    allowances = Allowances({})
    own_feed.limit_reader = AllowanceFollower(allowances)
    Allowance.limit("team", "one", "team one", {"requests_per_minute": 1})
    key, _ = Key.objects.issue(label="moves", team="one")
    own_feed.poll()
    Allowance.limit("team", "one", "team one", {"requests_per_minute": None})
    Allowance.limit("team", "two", "team two", {"requests_per_minute": 2})
    Key.objects.filter(pk=key.pk).update(team="two")

    with snapshot():
        update = own_feed.limit_reader.read(Key.objects.filter(pk=key.pk))
    held = []
    for step in (lambda: None, update.add):
        step()
        held.append({team: [one.amount for one in allowances.held(key.key_id, None, team)] for team in ("one", "two")})
    assert held == [{"one": [1], "two": []}, {"one": [1], "two": [2]}]
    update.remove()
    assert allowances.held(key.key_id, None, "one") == ()


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
