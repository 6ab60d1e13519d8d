"""A server that is ended again and again under load: what clients saw finished is recorded, and none of it twice."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack

import httpx
import pytest

from benchmarks.stub_client import StubProcess
from proxy.speed import DEFAULT_RATE
from tests.harness import GatewayServer, wait_until
from tests.proxy.wire import Client
from tests.usage.house import House
from tests.usage.load import CLIENTS, Clients, assert_recorded

TIMES = [3, pytest.param(20, marks=pytest.mark.long)]


def kill(server: GatewayServer) -> None:
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()


def stop(server: GatewayServer) -> None:
    assert server.stop() == 0


def end_and_start(server: GatewayServer, end: Callable[[GatewayServer], None], times: int) -> Clients:
    chance = random.Random(times)  # noqa: S311 -- it makes no secrets
    with Clients(server) as clients:
        for _ in range(times):
            clients.see(20)
            time.sleep(chance.random() * 0.3)
            end(server)
            server.start()
    return clients


@pytest.mark.parametrize("times", TIMES)
def test_what_clients_saw_finished_before_a_kill_is_recorded_once(
    make_gateway: Callable[..., GatewayServer], times: int
) -> None:
    server = make_gateway()
    clients = end_and_start(server, kill, times)
    server.stop()
    assert len(clients.finished) >= 20 * times
    assert_recorded(server, clients, cut_off=CLIENTS * times)


@pytest.mark.parametrize("times", TIMES)
def test_what_clients_saw_finished_before_a_stop_is_recorded_once_and_nothing_is_lost(
    make_gateway: Callable[..., GatewayServer], times: int
) -> None:
    server = make_gateway(SHUTDOWN_GRACE=0)  # some are cut
    clients = end_and_start(server, stop, times)
    server.stop()
    account = assert_recorded(server, clients, cut_off=0)
    assert {record["ended"] for record in account.records} <= {"done", "cut", "left"}
    assert list(server.folder.glob("journal/*.jsonl")) == []


def test_a_kill_charges_calls_in_flight_what_they_can_have_written(
    stub: StubProcess, make_gateway: Callable[..., GatewayServer]
) -> None:
    server = make_gateway(DEFAULT_TOKENS_TOTAL=1_000_000)
    body = {"model": "stub", "prompt": "a b c [[hang=1]]", "stream": False}
    began = time.monotonic()
    with ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(Client(server)).ask("/api/generate", body)
        stub.wait_for(lambda stub: sum(b"hang=1" in request.body for request in stub.requests()) == 8)
        kill(server)
    lived = time.monotonic() - began
    server.start()
    answer = httpx.get(f"{server.url}/api/v1/usage", headers=server.headers, timeout=30).json()
    total, (limit,) = answer["total"], answer["limits"]
    assert total["lost"] == 8
    assert total["prompt_tokens"] == 8 * 4
    assert total["completion_tokens"] <= 8 * DEFAULT_RATE * (lived + 1)
    assert limit["left"] == 1_000_000 - total["tokens"]


def test_a_kill_charges_a_stream_no_more_than_it_had_reserved(
    stub: StubProcess, make_gateway: Callable[..., GatewayServer]
) -> None:
    server = make_gateway(DEFAULT_TOKENS_TOTAL=1_000_000, RESERVE_STEP=10)
    with Client(server) as client:
        client.ask("/api/generate", {"model": "stub", "prompt": "a [[chunks=35 hang_after=35]]"})
        assert client.head().status == 200
        data = b""
        for piece in client.chunks():
            data += piece
            if data.count(b"\n") == 35:
                break
        time.sleep(1)  # in which 35 tokens are possible
        kill(server)
    server.start()
    total = httpx.get(f"{server.url}/api/v1/usage", headers=server.headers, timeout=30).json()["total"]
    assert total["lost"] == 1
    assert 10 < total["completion_tokens"] <= 40


def test_a_kill_charges_calls_that_wait_for_their_turn_their_prompts_alone(
    stub: StubProcess, make_gateway: Callable[..., GatewayServer]
) -> None:
    server = make_gateway(DEFAULT_TOKENS_TOTAL=1_000_000, MAX_IN_FLIGHT=1)
    waiting = House.of(server)
    with ExitStack() as stack:
        for text in ("[[chunks=2 interval_ms=800]]", "[[hang=1]]", "[[hang=1]]", "[[hang=1]]"):
            body = {"model": "stub", "prompt": f"a b c {text}", "stream": "hang" not in text}
            stack.enter_context(Client(server)).ask("/api/generate", body)
        wait_until(lambda: waiting.metric("waiting") == 3, 10, server.log)
        wait_until(lambda: waiting.metric("waiting") == 2, 10, server.log)
        stub.wait_for(lambda stub: sum(b"hang=1" in request.body for request in stub.requests()) == 1)
        time.sleep(1.5)  # the last sign of life may be half a second old
        kill(server)
    server.start()
    records = sorted(waiting.account().records, key=lambda record: record["completion_tokens"])
    assert [record["ended"] for record in records if record["ended"] == "lost"] == ["lost"] * 3
    lost = [record["completion_tokens"] for record in records if record["ended"] == "lost"]
    assert lost[:2] == [0, 0], "they waited"
    assert 5 <= lost[2] <= 60
