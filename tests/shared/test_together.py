"""Gateways that share limits: the house, outages of Redis, deaths, and who may start beside whom."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from itertools import cycle
from typing import Any

import httpx
import pytest

from benchmarks.stub_client import StubProcess
from tests.harness import GatewayServer, wait_until
from tests.redis_server import RedisServer
from tests.shared.conftest import gateways
from tests.usage.filled import issue
from tests.usage.house import House

MakeGateways = Callable[..., list[GatewayServer]]
BODY = {"model": "stub", "prompt": "word [[endless=1 interval_ms=20]]", "stream": True}


@pytest.fixture
def make_gateways(stub: StubProcess, own_redis: RedisServer) -> Iterator[MakeGateways]:
    """Makes gateways that share a Redis of their own."""
    with ExitStack() as stack:
        yield lambda number, **settings: gateways(stack, number, stub.url, own_redis.url(), **settings)


def generate(server: GatewayServer, prompt: str = "Hello", key: str = "", **more: Any) -> httpx.Response:
    body = {"model": "stub", "prompt": prompt, **more}
    headers = {"X-API-Key": key or server.key}
    return httpx.post(f"{server.url}/api/v1/generate", headers=headers, json=body, timeout=60)


def test_the_house_lets_so_many_through_in_all_processes_and_the_rest_wait(
    make_gateways: MakeGateways, stub: StubProcess
) -> None:
    servers = make_gateways(2, MAX_IN_FLIGHT=2)
    prompt = "the house [[first_delay_ms=300]]"
    with ThreadPoolExecutor(12) as pool:
        pairs = zip(cycle(servers), range(12), strict=False)
        answers = list(pool.map(lambda pair: generate(pair[0], prompt, stream=True), pairs))
    assert [answer.status_code for answer in answers] == [200] * 12
    # Each keeps the stub at work for that long; how soon its end is known there is no matter.
    began = [request.received_at for request in stub.requests() if b"the house" in request.body]
    assert max(sum(when <= other < when + 0.3 for other in began) for when in began) == 2


def test_who_waits_too_long_for_a_place_of_the_house_is_told_to_come_back(make_gateways: MakeGateways) -> None:
    busy, other = make_gateways(2, MAX_IN_FLIGHT=1, MAX_WAIT=0.3)
    with httpx.stream("POST", f"{busy.url}/api/v1/generate", headers=busy.headers, json=BODY) as answer:
        frames = answer.iter_raw()
        next(frames)
        refused = generate(other)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    wait_until(lambda: generate(other).status_code == 200, 10)


def test_without_redis_limited_keys_wait_outside_and_all_others_are_served(
    make_gateways: MakeGateways, own_redis: RedisServer
) -> None:
    (server,) = make_gateways(1, REDIS_GRACE=0.3)
    key_id, limited = issue(server, "limited")
    server.manage("changeapikey", key_id, "--tokens-per-day", "1000")
    wait_until(lambda: "ratelimit" in generate(server, key=limited).headers, 10)
    own_redis.stop()
    for path, body in (
        ("/api/v1/generate", {"prompt": "Hi"}),
        ("/api/chat", {"messages": [{"role": "user", "content": "Hi"}]}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}),
        ("/v1/messages", {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}),
    ):
        answer = httpx.post(
            f"{server.url}{path}", headers={"X-API-Key": limited}, json={"model": "stub", **body}, timeout=30
        )
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "REDIS_URL" in answer.text
    assert generate(server, key=limited).json()["error"] == "limits_unavailable"
    assert generate(server).status_code == 200
    assert httpx.get(f"{server.url}/api/tags", headers={"X-API-Key": limited}).status_code == 200
    asked = httpx.get(f"{server.url}/api/v1/usage", headers={"X-API-Key": limited})
    assert (asked.status_code, asked.json()["error"]) == (503, "limits_unavailable")
    own_redis.start()
    wait_until(lambda: generate(server, key=limited).status_code == 200, 15)
    assert server.log().count("Redis is away") == 1


def test_without_redis_each_process_lets_its_share_of_the_house_through(
    make_gateways: MakeGateways, own_redis: RedisServer, stub: StubProcess
) -> None:
    servers = make_gateways(2, MAX_IN_FLIGHT=4, MAX_WAIT=0.3, REDIS_GRACE=0.3)
    assert all(generate(server).status_code == 200 for server in servers), "each hears how many they are"
    own_redis.stop()
    wait_until(lambda: all("Redis is away" in server.log() for server in servers), 10)
    prompt = "w [[chunks=40 interval_ms=50]]"
    with ThreadPoolExecutor(16) as pool:
        pairs = zip(cycle(servers), range(16), strict=False)
        answers = list(pool.map(lambda pair: generate(pair[0], prompt, stream=True), pairs))
    assert Counter(answer.status_code for answer in answers) == {200: 4, 503: 12}


def test_a_stream_that_needs_more_than_it_has_reserved_ends_at_its_length_while_redis_is_away(
    make_gateways: MakeGateways, own_redis: RedisServer
) -> None:
    (server,) = make_gateways(1, REDIS_GRACE=0.3, RESERVE_STEP=20, DEFAULT_TOKENS_PER_DAY=1000)
    with httpx.stream("POST", f"{server.url}/api/generate", headers=server.headers, json=BODY) as answer:
        frames = answer.iter_lines()
        next(frames)
        own_redis.stop()
        last = json.loads([*frames][-1])
    assert (last["done"], last["done_reason"]) == (True, "length")


def test_a_place_in_flight_is_free_again_when_its_client_leaves(make_gateways: MakeGateways) -> None:
    busy, other = make_gateways(2, DEFAULT_CONCURRENCY=1)
    with httpx.stream("POST", f"{busy.url}/api/v1/generate", headers=busy.headers, json=BODY) as answer:
        frames = answer.iter_raw()
        next(frames)
        assert generate(other).status_code == 429
    wait_until(lambda: generate(other).status_code == 200, 10)


@pytest.mark.long
def test_what_a_killed_process_held_is_free_after_its_lease(make_gateways: MakeGateways) -> None:
    dies, lives = make_gateways(2, DEFAULT_CONCURRENCY=1, DEFAULT_TOKENS_PER_DAY=1000, RESERVE_STEP=100)
    begun = threading.Event()

    def hang() -> None:
        with (
            suppress(httpx.HTTPError),
            httpx.stream("POST", f"{dies.url}/api/generate", headers=dies.headers, json=BODY) as answer,
        ):
            for _ in answer.iter_raw():
                begun.set()

    client = threading.Thread(target=hang)
    client.start()
    assert begun.wait(10)
    assert generate(lives).status_code == 429
    assert dies.process is not None
    os.kill(dies.process.pid, signal.SIGKILL)
    dies.process.wait()
    client.join()
    wait_until(lambda: generate(lives).status_code == 200, 30)

    def is_the_same() -> bool:
        """Tells whether the dead call is charged what it can have written, here as in the account."""
        said = httpx.get(f"{lives.url}/api/v1/usage", headers=lives.headers).json()
        (left,) = (one["left"] for one in said["limits"] if one["dimension"] == "tokens_per_day")
        total = said["total"]
        return bool(total["lost"] == 1 and 1000 - left == total["prompt_tokens"] + total["completion_tokens"])

    wait_until(is_the_same, 30)
    assert "A process was not heard of any more" in lives.log()


def test_what_a_killed_process_is_charged_is_the_same_in_redis_and_in_the_account(
    make_gateways: MakeGateways, stub: StubProcess
) -> None:
    dies, lives = make_gateways(2, DEFAULT_TOKENS_TOTAL=1_000_000)
    assert generate(dies, stream=False).status_code == 200
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(generate, dies, "a b c [[hang=1]]", stream=False) for _ in range(8)]
        stub.wait_for(lambda stub: sum(b"hang=1" in request.body for request in stub.requests()) == 8)
        assert dies.process is not None
        os.kill(dies.process.pid, signal.SIGKILL)
        dies.process.wait()
        assert all(isinstance(call.exception(), httpx.HTTPError) for call in calls)

    def is_the_same() -> bool:
        said = httpx.get(f"{lives.url}/api/v1/usage", headers=lives.headers).json()
        (limit,), total = said["limits"], said["total"]
        return bool(total["lost"] == 8 and 1_000_000 - limit["left"] == total["tokens"] < 10_000)

    wait_until(is_the_same, 10, lives.log)


def test_usage_is_what_all_have_used(make_gateways: MakeGateways) -> None:
    one, two = make_gateways(2, DEFAULT_TOKENS_PER_DAY=1000)
    said = generate(one, stream=False).json()
    limits = httpx.get(f"{two.url}/api/v1/usage", headers=two.headers).json()["limits"]
    assert limits[0]["left"] == 1000 - said["prompt_eval_count"] - said["eval_count"]


def test_a_restart_of_everything_remembers_what_was_spent(make_gateways: MakeGateways, own_redis: RedisServer) -> None:
    (server,) = make_gateways(1, DEFAULT_TOKENS_PER_DAY=1000, DEFAULT_REQUESTS_PER_MINUTE=3)
    for _ in range(3):
        assert generate(server, stream=False).status_code == 200
    limits = httpx.get(f"{server.url}/api/v1/usage", headers=server.headers).json()["limits"]
    server.stop()
    own_redis.stop()
    own_redis.start()
    server.start()
    again = httpx.get(f"{server.url}/api/v1/usage", headers=server.headers).json()["limits"]
    assert [one["left"] for one in again] == [one["left"] for one in limits]
    assert generate(server).status_code == 429


def test_a_process_that_does_not_share_limits_may_not_start_beside_those_that_do(make_gateways: MakeGateways) -> None:
    (sharing,) = make_gateways(1)
    journal = sharing.settings["JOURNAL_DIR"]
    alone = GatewayServer(ollama_url=sharing.settings["OLLAMA_URL"], JOURNAL_DIR=journal)
    with pytest.raises(AssertionError, match="give both the same REDIS_URL"):
        alone.start()


def test_a_server_starts_though_redis_is_away_and_says_so(make_gateways: MakeGateways, own_redis: RedisServer) -> None:
    own_redis.stop()
    (server,) = make_gateways(1, DEFAULT_TOKENS_PER_DAY=1000, REDIS_GRACE=0.3)
    assert "Redis is away" in server.log()
    assert generate(server).status_code == 503
    own_redis.start()
    wait_until(lambda: generate(server).status_code == 200, 15)


def test_a_small_journal_is_not_full_of_what_a_sibling_has_already_brought_in(make_gateways: MakeGateways) -> None:
    servers = make_gateways(2, JOURNAL_MAX_BYTES=65_536)
    size = 0
    while size < 2 * 65_536:
        for server in servers:
            # Twice the bound is written in all, but not faster than it comes into the database.
            wait_until(lambda server=server: generate(server, stream=False).status_code == 200, 10)  # type: ignore[misc]  # of its own
        size = sum(path.stat().st_size for path in (servers[0].folder / "journal").glob("*.jsonl"))

    manager = House.of(servers[0]).manager
    houses = [House(server, manager) for server in servers]
    wait_until(lambda: [house.metric("journal_bytes") for house in houses] == [0, 0], 10)
    assert [generate(server).status_code for server in servers] == [200, 200]
    assert all("JOURNAL_MAX_BYTES" not in server.log() for server in servers)
