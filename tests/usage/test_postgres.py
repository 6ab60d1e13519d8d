"""The account on PostgreSQL: reports are the same, and an outage loses nothing and counts nothing twice."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from benchmarks.stub_client import StubProcess
from tests.harness import GatewayServer, wait_until
from tests.postgres import Postgres, binaries
from tests.usage.filled import DAY, issue, store
from tests.usage.test_account import ask, report, requests


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    if binaries() is None:
        pytest.skip("PostgreSQL is not installed here, or nobody may run it: see .ci/run")
    cluster = Postgres()
    try:
        yield cluster.start()
    finally:
        cluster.remove()


@pytest.fixture
def server(postgres: Postgres, stub: StubProcess) -> Iterator[GatewayServer]:
    settings = {"DATABASE_URL": postgres.url(f"usage_{secrets.token_hex(4)}"), "METRICS_ADDRESSES": "127.0.0.1"}
    with GatewayServer(ollama_url=stub.url, fresh=True, **settings) as made:
        yield made


def test_reports_are_what_they_are_on_sqlite(server: GatewayServer) -> None:
    (ana, secret), (_, operator) = issue(server, "Ana"), issue(server, "operator", "inference,keys")
    store(server, {"key": ana, "owner": 3}, {"key": ana, "team": "lab\0"}, {"key": "x" * 100, "at": DAY - 86_400})
    query = {"key": "all", "since": "2026-03-01", "until": "2026-03-31", "by": "day,key,owner,team,model,route"}
    answer = httpx.get(f"{server.url}/api/v1/usage", headers={"X-API-Key": operator}, params=query).json()
    lines = [(line["day"], line["key"], line["owner"], line["team"], line["requests"]) for line in answer["usage"]]
    assert lines == [
        ("2026-03-14", "x" * 32, 0, "", 1),
        ("2026-03-15", ana, 0, "lab", 1),
        ("2026-03-15", ana, 3, "", 1),
    ]
    wait_until(lambda: ask(server, secret).status_code == 200, 5)
    wait_until(lambda: requests(server, secret) == 1, 5)
    assert ana in server.manage("usage", "--since", "2026-03-01", "--until", "2026-03-31").stdout


def test_an_outage_loses_nothing_and_counts_nothing_twice(server: GatewayServer, postgres: Postgres) -> None:
    _, secret = issue(server, "Ana")
    wait_until(lambda: ask(server, secret).status_code == 200, 5)
    wait_until(lambda: requests(server, secret) == 1, 5)
    postgres.stop()
    try:
        for _ in range(20):
            assert ask(server, secret).status_code == 200
        wait_until(
            lambda: "ollama_gateway_journal_lines 40" in httpx.get(f"{server.url}/metrics").text.splitlines(), 10
        )
    finally:
        postgres.start()
    wait_until(lambda: "ollama_gateway_journal_lines 0" in httpx.get(f"{server.url}/metrics").text.splitlines(), 30)
    said = report(server, secret)["total"]
    assert (said["requests"], said["lost"]) == (21, 0)
    assert server.log().count("The account can't be brought into the database") == 1


def test_old_records_are_pruned(server: GatewayServer) -> None:
    ana, _ = issue(server, "Ana")
    store(server, *({"key": ana} for _ in range(40)))
    assert server.manage("pruneusage", "--days", "1").stdout.startswith("40 records")


def test_refused_calls_are_kept_and_found(server: GatewayServer) -> None:
    key, secret = issue(server, "Refused")
    headers = {"X-API-Key": secret, "X-Request-ID": "refused-here"}

    def refuse() -> int:
        return httpx.post(f"{server.url}/api/generate", headers=headers, json={"model": 1}).status_code

    wait_until(lambda: refuse() == 400, 5)
    for _ in range(70):
        assert refuse() == 400
    for filters in (("--id", "refused-here"), ("--key", key, "--status", "4xx", "--since", "2026-01-01")):
        wait_until(lambda filters=filters: "bad_request" in server.manage("calls", *filters).stdout, 20, server.log)
    said = server.manage("calls", "--key", key, "--day", f"{datetime.now(UTC):%Y-%m-%d}", "--until", "2199-12-31")
    assert "refused calls have no record" in said.stderr
