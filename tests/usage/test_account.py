"""The whole way of an account: served, journaled, kept, restored."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from benchmarks.stub_client import StubProcess
from tests.harness import GatewayServer

MakeGateway = Callable[..., GatewayServer]


def generate(server: GatewayServer, prompt: str = "Hello you", **more: Any) -> httpx.Response:
    body = {"model": "stub", "prompt": prompt, **more}
    return httpx.post(f"{server.url}/api/v1/generate", headers=server.headers, json=body, timeout=30)


def records(server: GatewayServer) -> list[dict[str, Any]]:
    """The usage that the command tells, by key."""
    told: list[dict[str, Any]] = json.loads(server.manage("usage", "--json", "--by", "key").stdout)
    return told


def requests_told(server: GatewayServer) -> int:
    return sum(row["requests"] for row in records(server))


def wait_until_told(server: GatewayServer, requests: int) -> None:
    deadline = time.monotonic() + 15
    while requests_told(server) != requests:
        assert time.monotonic() < deadline, records(server)


def test_a_call_is_in_the_account_a_moment_later(make_gateway: MakeGateway) -> None:
    server = make_gateway()
    generate(server)
    generate(server, stream=True)
    wait_until_told(server, 2)
    (row,) = records(server)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (4, 4)


def test_a_spent_budget_stays_spent_after_a_restart(make_gateway: MakeGateway) -> None:
    server = make_gateway(DEFAULT_TOKENS_PER_DAY=8)
    assert generate(server, "one two three four").status_code == 200
    assert generate(server).status_code == 429
    assert server.stop() == 0
    server.start()
    assert generate(server).status_code == 429


def test_a_kill_loses_nothing_that_a_client_saw_finished(make_gateway: MakeGateway) -> None:
    server = make_gateway()
    kill_under_load(server)
    server.start()
    told = requests_told(server)
    wait_until_told(server, told)


@pytest.mark.long
def test_twenty_kills_lose_nothing_and_count_nothing_twice(make_gateway: MakeGateway) -> None:
    server = make_gateway()
    finished = sum(kill_under_load(server, restart=True) for _ in range(20))
    (row,) = records(server)
    assert row["requests"] >= finished
    # What a client did not come to see may be in the account too; a call is never in it twice.
    assert row["requests"] <= finished + 20 * 8


def kill_under_load(server: GatewayServer, *, restart: bool = False) -> int:
    """Kills the server while eight clients ask; returns how many answers they saw to their end."""
    finished = 0

    def ask(number: int) -> int:
        seen = 0
        try:
            for _ in range(1000):
                answer = generate(server, f"word {number}", stream=number % 2 == 0)
                seen += answer.status_code == 200 and ('"done":true' in answer.text)
        except httpx.HTTPError:
            pass
        return seen

    with ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(ask, number) for number in range(8)]
        time.sleep(0.3)  # under load, whenever that is
        assert server.process is not None
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        finished = sum(one.result() for one in asking)
    if restart:
        server.start()
    return finished


def test_limits_are_told_with_the_usage(make_gateway: MakeGateway) -> None:
    server = make_gateway(DEFAULT_REQUESTS_PER_MINUTE=10)
    generate(server)
    answer = httpx.get(f"{server.url}/api/v1/usage", headers=server.headers).json()
    (limit,) = answer["limits"]
    assert (limit["dimension"], limit["limit"], limit["left"]) == ("requests_per_minute", 10, 9)


def test_a_limit_that_is_set_by_command_holds_within_a_second(make_gateway: MakeGateway) -> None:
    server = make_gateway()
    key = server.manage("createapikey", "limited", "--requests-per-minute", "2", "--quiet").stdout.strip()
    body = {"model": "stub", "prompt": "x"}

    def ask() -> int:
        return httpx.post(f"{server.url}/api/v1/generate", headers={"X-API-Key": key}, json=body).status_code

    assert [ask(), ask(), ask()] == [200, 200, 429]


def test_metrics_count_what_passed(make_gateway: MakeGateway) -> None:
    server = make_gateway(METRICS_ADDRESSES="127.0.0.1")
    generate(server)
    generate(server, model="missing")
    text = httpx.get(f"{server.url}/metrics").text
    assert 'requests_total{route="POST /api/v1/generate",status="200",ended="done"} 1' in text
    assert 'tokens_total{route="POST /api/v1/generate",kind="completion"} 2' in text
    assert 'upstream_errors_total{reason="model_not_found"} 1' in text
    assert "ollama_gateway_in_flight" in text


def test_every_way_to_end_leaves_nothing_reserved(make_gateway: MakeGateway, stub: StubProcess) -> None:
    server = make_gateway(DEFAULT_CONCURRENCY=40, DEFAULT_TOKENS_PER_DAY=10**9, SHUTDOWN_GRACE=1)
    knobs = ["", "error_after=1", "eof_after=1", "die_after=1", "status=500", "interval_ms=20 chunks=30"]
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda n: end_somehow(server, knobs[n % len(knobs)], leave=n % 4 == 0), range(60)))
    stub.wait_for(lambda _: not stub.under_way())
    answer = httpx.get(f"{server.url}/api/v1/usage", headers=server.headers).json()
    left = {limit["dimension"]: limit["left"] for limit in answer["limits"]}
    assert left["concurrency"] == 40
    wait_until_told(server, 60)
    (row,) = records(server)
    assert left["tokens_per_day"] == 10**9 - row["prompt_tokens"] - row["completion_tokens"]


def end_somehow(server: GatewayServer, knobs: str, *, leave: bool) -> None:
    """Makes a call end in its own way."""
    body = {"model": "stub", "prompt": f"a b c [[{knobs}]]" if knobs else "a b c", "stream": True}
    with (
        httpx.Client(headers=server.headers, timeout=10) as client,
        client.stream("POST", f"{server.url}/api/v1/generate", json=body) as answer,
    ):
        frames = answer.iter_raw()
        for _ in frames:
            if leave:
                return
