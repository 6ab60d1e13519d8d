"""The database or the disk is taken away under load: what clients saw finished is recorded all the same, once."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from benchmarks.stub_client import StubProcess
from tests.harness import GatewayServer, wait_until
from tests.postgres import Postgres
from tests.usage.house import House
from tests.usage.load import CLIENTS, Clients, assert_recorded

MakeGateway = Callable[..., GatewayServer]
LENGTHS = [pytest.param(3.0, id="3 s"), pytest.param(30.0, id="30 s", marks=pytest.mark.long)]
OPEN = {"METRICS_ADDRESSES": "127.0.0.1"}


def metric(server: GatewayServer, name: str) -> float:
    text = httpx.get(f"{server.url}/metrics", timeout=30).text
    return float(next(line for line in text.splitlines() if line.startswith(f"ollama_gateway_{name} ")).split()[1])


@contextmanager
def locked(server: GatewayServer) -> Iterator[None]:
    """Holds the write lock of a server's SQLite database."""
    with closing(sqlite3.connect(server.folder / "db.sqlite3", timeout=30)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.rollback()


@pytest.fixture
def on_postgres(postgres: Postgres, stub: StubProcess, request: pytest.FixtureRequest) -> Iterator[GatewayServer]:
    name = f"outages_{abs(hash(request.node.name))}"
    with GatewayServer(ollama_url=stub.url, fresh=True, DATABASE_URL=postgres.url(name), **OPEN) as server:
        server.key = server.manage("createapikey", "known", "--quiet").stdout.strip()
        headers = {"X-API-Key": server.key}
        wait_until(lambda: httpx.get(f"{server.url}/api/v1/usage", headers=headers).status_code == 200, 5)
        yield server


@pytest.mark.parametrize("seconds", LENGTHS)
def test_a_postgresql_that_is_stopped_hard_costs_no_record(
    on_postgres: GatewayServer, postgres: Postgres, seconds: float
) -> None:
    with Clients(on_postgres) as clients:
        clients.see(20)
        postgres.stop()
        try:
            assert clients.go_on_for(seconds) > 20
        finally:
            postgres.start()
        clients.see(20)
    assert on_postgres.stop() == 0
    assert set(clients.statuses) == {200}
    assert_recorded(on_postgres, clients)


def test_a_kill_while_postgresql_is_away_costs_no_record(on_postgres: GatewayServer, postgres: Postgres) -> None:
    with Clients(on_postgres) as clients:
        clients.see(20)
        postgres.stop()
        try:
            clients.see(50)
            assert on_postgres.process is not None
            os.kill(on_postgres.process.pid, signal.SIGKILL)
            on_postgres.process.wait()
        finally:
            postgres.start()
        on_postgres.start()
        clients.see(20)
    assert on_postgres.stop() == 0
    assert_recorded(on_postgres, clients, cut_off=CLIENTS)


@pytest.mark.parametrize("seconds", LENGTHS)
def test_a_locked_database_file_costs_no_record(make_gateway: MakeGateway, seconds: float) -> None:
    server = make_gateway(**OPEN)
    with Clients(server) as clients:
        clients.see(20)
        with locked(server):
            assert clients.go_on_for(seconds) > 20
        clients.see(20)
    assert server.stop() == 0
    assert set(clients.statuses) == {200}
    assert_recorded(server, clients)


def allow(server: GatewayServer, size: int) -> None:
    """Lets no file of a server grow beyond a size: to it, the disk is full."""
    assert server.process is not None
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def journal_size(server: GatewayServer) -> int:
    return max(path.stat().st_size for path in Path(server.folder, "journal").glob("*.jsonl"))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux changes the limits of a running process")
@pytest.mark.parametrize("mode", ["refuse", "count"])
@pytest.mark.parametrize("times", [2, pytest.param(20, marks=pytest.mark.long)])
def test_a_full_disk_costs_no_record(make_gateway: MakeGateway, times: int, mode: str) -> None:
    server = make_gateway(JOURNAL_FULL=mode, **OPEN)
    with Clients(server) as clients:
        for _ in range(times):
            clients.see(30)
            refused = clients.statuses[503]
            allow(server, journal_size(server) + 1500)
            if mode == "refuse":
                wait_until(lambda refused=refused: clients.statuses[503] > refused + CLIENTS, 10)
            else:
                clients.see(30)
            allow(server, resource.RLIM_INFINITY)
    assert server.stop() == 0
    assert set(clients.statuses) == ({200, 503} if mode == "refuse" else {200})
    assert_recorded(server, clients)


def test_a_full_journal_refuses_new_calls_until_it_is_not(make_gateway: MakeGateway) -> None:
    server = make_gateway(JOURNAL_MAX_BYTES=65536, **OPEN)
    with Clients(server) as clients:
        clients.see(20)
        with locked(server):
            wait_until(lambda: clients.statuses[503] > 20, 60)
        clients.see(20)
    assert server.stop() == 0
    assert "has reached JOURNAL_MAX_BYTES" in server.log()
    assert_recorded(server, clients)


def test_a_full_journal_grows_no_more_where_calls_are_only_counted(make_gateway: MakeGateway) -> None:
    server = make_gateway(JOURNAL_MAX_BYTES=65536, JOURNAL_FULL="count", **OPEN)
    with Clients(server) as clients:
        clients.see(20)
        with locked(server):
            wait_until(lambda: metric(server, "journal_dropped") > 0, 60)
            size = journal_size(server)
            clients.see(100)
            # Only those that ran when it was full still have their last line.
            assert journal_size(server) < size + CLIENTS * 2000
    assert server.stop() == 0
    assert set(clients.statuses) == {200}
    account = House(server, "").account()
    assert 0 < len(account.records) < len(clients.finished)
    assert not any(record["ended"] == "lost" for record in account.records)
