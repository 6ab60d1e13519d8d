"""The database is taken away under load: known keys go on, others are told to wait, and all is well afterwards."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from apikeys import keys
from benchmarks.stub_client import StubProcess
from tests.apikeys.dialects import ask
from tests.harness import GatewayServer, wait_until
from tests.postgres import Postgres

# The outage lasts so long; the long test takes the whole half minute that is promised.
LENGTHS = [pytest.param(4.0, id="4 s"), pytest.param(30.0, id="30 s", marks=pytest.mark.long)]


@contextmanager
def load(server: GatewayServer, secret: str) -> Iterator[Counter[int | str]]:
    """Keeps asking with a known key, a few at a time; counts the statuses."""
    seen: Counter[int | str] = Counter()
    over = threading.Event()

    def keep_asking() -> None:
        with httpx.Client(headers={"X-API-Key": secret}, timeout=10) as client:
            while not over.is_set():
                try:
                    seen[client.post(f"{server.url}/api/v1/generate", json={"prompt": "Hi"}).status_code] += 1
                except httpx.HTTPError as error:
                    seen[type(error).__name__] += 1
                time.sleep(0.01)

    threads = [threading.Thread(target=keep_asking) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()


def issue(server: GatewayServer) -> str:
    return server.manage("createapikey", "known", "--quiet").stdout.strip()


@pytest.mark.parametrize("seconds", LENGTHS)
def test_known_keys_outlive_a_postgresql_that_is_stopped_hard(
    postgres: Postgres, stub: StubProcess, tmp_path: Path, seconds: float
) -> None:
    database = postgres.url(f"outage{seconds:.0f}")
    with GatewayServer(ollama_url=stub.url, folder=tmp_path, fresh=True, DATABASE_URL=database) as server:
        known, revoked = issue(server), issue(server)
        assert ask(server, known).status_code == ask(server, revoked).status_code == 200
        server.manage("revokeapikey", revoked)
        wait_until(lambda: ask(server, revoked).status_code == 401, 1.0)
        with load(server, known) as seen:
            postgres.stop()
            try:
                down = time.monotonic()
                for unknown in (keys.generate().text, revoked):
                    wait_until(lambda unknown=unknown: ask(server, unknown).status_code == 503, 3.0)
                answer = ask(server, revoked)
                assert answer.headers["Retry-After"] == "5"
                assert ask(server, "malformed").status_code == 401
                while time.monotonic() - down < seconds:
                    began = time.monotonic()
                    assert ask(server, keys.generate().text).status_code == 503
                    assert time.monotonic() - began < 2.0
            finally:
                postgres.start()
            wait_until(lambda: ask(server, revoked).status_code == 401, 10.0)
        assert set(seen) == {200}
        assert seen[200] > seconds
        fresh = issue(server)
        assert ask(server, fresh).status_code == 200
        server.manage("revokeapikey", known)
        wait_until(lambda: ask(server, known).status_code == 401, 1.0)


def test_after_the_grace_known_keys_are_told_to_wait_too(postgres: Postgres, stub: StubProcess, tmp_path: Path) -> None:
    database = postgres.url("grace")
    settings = {"DATABASE_URL": database, "OUTAGE_GRACE": 3}
    with GatewayServer(ollama_url=stub.url, folder=tmp_path, fresh=True, **settings) as server:
        known = issue(server)
        assert ask(server, known).status_code == 200
        postgres.stop()
        try:
            assert ask(server, known).status_code == 200
            wait_until(lambda: ask(server, known).status_code == 503, 6.0)
        finally:
            postgres.start()
        wait_until(lambda: ask(server, known).status_code == 200, 10.0)


def test_without_a_grace_known_keys_work_while_the_database_is_there(
    make_gateway: Callable[..., GatewayServer],
) -> None:
    server = make_gateway(OUTAGE_GRACE=0)
    assert {ask(server, server.key).status_code for _ in range(50)} == {200}


@pytest.mark.parametrize("seconds", LENGTHS)
def test_a_held_write_lock_on_sqlite_is_not_felt_by_known_keys(
    make_gateway: Callable[..., GatewayServer], seconds: float
) -> None:
    server = make_gateway(OUTAGE_GRACE=2)
    known, revoked = issue(server), issue(server)
    assert ask(server, known).status_code == 200
    server.manage("revokeapikey", revoked)
    wait_until(lambda: ask(server, revoked).status_code == 401, 1.0)
    with load(server, known) as seen, closing(sqlite3.connect(server.folder / "db.sqlite3")) as other:
        other.execute("BEGIN EXCLUSIVE")
        held = time.monotonic()
        # Whoever is issued a key at this moment has one that can't be stored yet: "unknown" is not the last word.
        for unknown in (keys.generate().text, revoked):
            wait_until(lambda unknown=unknown: ask(server, unknown).status_code == 503, 3.0)
        assert ask(server, revoked).headers["Retry-After"] == "5"
        assert ask(server, "malformed").status_code == 401
        while time.monotonic() - held < seconds:
            assert ask(server, keys.generate().text).status_code == 503
        other.rollback()
        wait_until(lambda: ask(server, revoked).status_code == 401, 2.0)
    assert set(seen) == {200}
    assert seen[200] > seconds
    fresh = issue(server)
    assert ask(server, fresh).status_code == 200
    server.manage("revokeapikey", known)
    wait_until(lambda: ask(server, known).status_code == 401, 1.0)


def test_writes_that_follow_each_other_at_once_are_no_outage(
    make_gateway: Callable[..., GatewayServer],
) -> None:
    server = make_gateway()
    with closing(sqlite3.connect(server.folder / "db.sqlite3", timeout=10, isolation_level=None)) as other:
        other.execute("CREATE TABLE busy (number)")
        statuses = set()
        # Whenever the server looks somebody has the lock, but it is another transaction each time.
        for _ in range(10):
            other.execute("BEGIN IMMEDIATE")
            other.execute("INSERT INTO busy VALUES (1)")
            statuses.add(ask(server, keys.generate().text).status_code)
            other.execute("COMMIT")
        other.execute("DROP TABLE busy")
        assert statuses == {401}


def test_looking_at_the_lock_writes_nothing_and_keeps_nobody_from_writing(
    make_gateway: Callable[..., GatewayServer],
) -> None:
    server = make_gateway()
    assert ask(server, server.key).status_code == 200
    with closing(sqlite3.connect(server.folder / "db.sqlite3", timeout=0.1)) as other:
        log = server.folder / "db.sqlite3-wal"
        wait_until(lambda: other.execute("SELECT count(*) FROM usage_usagerecord").fetchone() == (1,), 5.0)
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        before = other.execute("PRAGMA data_version").fetchone()
        # An unknown key waits for the feed's next look at the database: a few of them, a few looks.
        for _ in range(6):
            ask(server, keys.generate().text)
            other.execute("BEGIN IMMEDIATE")
            other.rollback()
        assert other.execute("PRAGMA data_version").fetchone() == before
        assert log.stat().st_size == 0
