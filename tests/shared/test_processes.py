"""Four gateways on two addresses, with one database and one Redis: what is admitted is what was allowed to all."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from benchmarks.stub_client import StubProcess
from tests.harness import GatewayServer, wait_until
from tests.redis_server import RedisServer
from tests.shared.conftest import gateways
from tests.usage.house import Answered, House, Key, ask
from tests.usage.test_exact import BUDGET, STEP, STREAMS, call, lines

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def servers(stub: StubProcess, shared_redis: RedisServer) -> Iterator[list[GatewayServer]]:
    """Gateways that share what there is to share."""
    with ExitStack() as stack:
        shared_redis.say("FLUSHALL")
        settings = {"RESERVE_STEP": STEP, "MAX_IN_FLIGHT": 300, "JOURNAL_MAX_BYTES": 2**30}
        yield gateways(stack, 4, stub.url, shared_redis.url(), **settings)


@pytest.fixture(scope="module")
def house(servers: list[GatewayServer]) -> House:
    """The first of them, and a key that issues others."""
    return House.of(servers[0])


def issue(house: House, servers: list[GatewayServer], **limits: int) -> Key:
    """Issues a key; waits until all gateways know it."""
    key = house.issue(**limits)
    for server in servers:
        wait_until(lambda server=server: House(server, "").limits(key) is not None, 10)  # type: ignore[misc]  # of its own
    return key


@pytest.mark.parametrize("time", [0, *(pytest.param(time, marks=pytest.mark.long) for time in range(1, 21))])
async def test_of_fifty_requests_at_once_exactly_ten_are_admitted(
    house: House, servers: list[GatewayServer], time: int
) -> None:
    key = issue(house, servers, requests_per_minute=10)
    body = {"model": "stub", "prompt": f"time {time}"}
    asked = [ask(servers[number % 4], "/api/v1/generate", body, key.secret) for number in range(50)]
    answers = await asyncio.gather(*asked)
    assert Counter(answer.status for answer in answers) == {200: 10, 429: 40}
    assert all(0 < int(answer.headers["retry-after"]) <= 60 for answer in answers if answer.status == 429)
    assert sum(line["event"] == "admitted" for line in lines(servers[0], key)) == 10


@pytest.mark.parametrize("rounds", [3, pytest.param(60, marks=pytest.mark.long)])
async def test_a_new_key_used_everywhere_at_once_is_limited(
    house: House, servers: list[GatewayServer], rounds: int
) -> None:
    body = {"model": "stub", "prompt": "at once", "stream": False}
    issued = {"label": "used at once", "limits": {"requests_per_minute": 10}}
    async with httpx.AsyncClient(headers=house.as_manager, timeout=30) as client:
        for _ in range(rounds):
            answer = await client.post(f"{servers[0].url}/api/v1/keys", json=issued)
            secret = answer.json()["key"]
            asked = [ask(servers[number % 4], "/api/generate", body, secret) for number in range(40)]
            assert Counter(answer.status for answer in await asyncio.gather(*asked)) == {200: 10, 429: 30}


async def test_of_fifty_calls_at_once_exactly_ten_run_together(house: House, servers: list[GatewayServer]) -> None:
    key = issue(house, servers, concurrency=10)
    body = {"model": "stub", "prompt": "together [[first_delay_ms=1000]]"}
    asked = [ask(servers[number % 4], "/api/v1/generate", body, key.secret) for number in range(50)]
    assert Counter(answer.status for answer in await asyncio.gather(*asked)) == {200: 10, 429: 40}
    assert all(House(server, "").limits(key) == {"concurrency": 10} for server in servers)


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 21))])
async def test_two_hundred_streams_at_once_spend_no_more_than_their_budget(
    house: House, servers: list[GatewayServer], seed: int
) -> None:
    key = issue(house, servers, tokens_per_day=BUDGET, concurrency=STREAMS)
    chance = random.Random(seed)  # noqa: S311 -- it makes no secrets
    answers: list[Answered] = await asyncio.gather(
        *(call(servers[number % 4], key, chance) for number in range(STREAMS))
    )
    kinds = Counter(answer.status for answer in answers)
    assert set(kinds) <= {200, 429}, kinds
    houses = [House(server, house.manager) for server in servers]
    wait_until(lambda: not any(one.metric("in_flight") + one.metric("waiting") for one in houses), 30)
    said = lines(servers[0], key)
    admitted = {line["call"]: line for line in said if line["event"] == "admitted"}
    ended = {line["call"]: line for line in said if line["event"] == "ended"}
    assert len(ended) == len(admitted) == kinds[200]
    spent = sum(line["prompt_tokens"] + line["completion_tokens"] for line in ended.values())
    error = sum(max(0, ended[call]["prompt_tokens"] - admitted[call]["prompt_estimate"]) for call in ended)
    assert spent <= BUDGET + error
    assert spent > BUDGET * 0.9, "they ask for much more than there is"
    for server in servers:
        # What is left is what was not spent, whomever one asks.
        assert House(server, "").limits(key) == {"tokens_per_day": max(0, BUDGET - spent), "concurrency": STREAMS}


async def test_headers_say_what_is_left_of_what_all_share(house: House, servers: list[GatewayServer]) -> None:
    key = issue(house, servers, requests_per_minute=10, tokens_per_day=1000)
    body = {"model": "stub", "prompt": "one two", "options": {"num_predict": 5}}
    async with httpx.AsyncClient(headers={"X-API-Key": key.secret}) as client:
        left = []
        for server in servers:
            headers = (await ask(server, "/api/generate", body | {"stream": False}, key.secret)).headers
            left.append((headers["x-ratelimit-remaining-requests"], headers["x-ratelimit-remaining-tokens"]))
            async with asyncio.timeout(5):  # what a call cost is told to the others behind its answer
                while (await client.get(f"{servers[1].url}/api/tags")).headers["x-ratelimit-remaining-tokens"] != left[
                    -1
                ][1]:
                    pass
        assert left == [("9", "996"), ("8", "992"), ("7", "988"), ("6", "984")]
        listed = (await client.get(f"{servers[1].url}/api/tags")).headers
    assert listed["x-ratelimit-remaining-requests"] == "6"
    assert listed["ratelimit-policy"] == '"requests_per_minute";q=10;w=60, "tokens_per_day";q=1000;w=86400'
    refused = [await ask(servers[number % 4], "/api/generate", body, key.secret) for number in range(7)][-1]
    assert (refused.status, refused.headers["x-ratelimit-remaining-requests"]) == (429, "0")
