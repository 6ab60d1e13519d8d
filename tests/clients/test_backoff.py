"""Unmodified SDKs with their default retries against real limits: they wait as they are told, and succeed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.harness import GatewayServer
from tests.usage.house import House, Key, request, wire

Ask = Callable[[GatewayServer, Key, str], str]


def with_openai(server: GatewayServer, key: Key, text: str) -> str:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=key.secret) as client:
        answer = client.chat.completions.create(model="stub", messages=[{"role": "user", "content": text}])
        return answer.choices[0].message.content or ""


def with_openai_streamed(server: GatewayServer, key: Key, text: str) -> str:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=key.secret) as client:
        stream = client.responses.create(model="stub", input=text, stream=True)
        return "".join(event.delta for event in stream if event.type == "response.output_text.delta")


def with_async_openai(server: GatewayServer, key: Key, text: str) -> str:
    async def ask() -> str:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key=key.secret) as client:
            return (await client.completions.create(model="stub", prompt=text)).choices[0].text

    return asyncio.run(ask())


def with_anthropic(server: GatewayServer, key: Key, text: str) -> str:
    with anthropic.Anthropic(base_url=server.url, api_key=key.secret) as client:
        asked: Any = [{"role": "user", "content": text}]
        answer: Any = client.messages.create(model="stub", messages=asked, max_tokens=50)
        return str(answer.content[0].text)


def with_anthropic_streamed(server: GatewayServer, key: Key, text: str) -> str:
    with anthropic.Anthropic(base_url=server.url, api_key=key.secret) as client:
        asked: Any = [{"role": "user", "content": text}]
        with client.messages.stream(model="stub", messages=asked, max_tokens=50) as stream:
            return "".join(stream.text_stream)


EVERY: list[Ask] = [
    with_openai,
    with_openai_streamed,
    with_async_openai,
    with_anthropic,
    with_anthropic_streamed,
]


@pytest.fixture(scope="module")
def house(gateway: GatewayServer) -> House:
    return House.of(gateway)


def refusals(house: House) -> float:
    return house.metric('refusals_total{reason="rate_limited"}')


def test_clients_over_their_rate_of_tokens_wait_and_succeed(house: House) -> None:
    keys = [house.issue(tokens_per_minute=6000) for _ in EVERY]  # a thousand at once, and a hundred a second
    before = refusals(house)

    def twice(ask: Ask, key: Key) -> str:
        ask(house.server, key, "word " * 1000)
        return ask(house.server, key, "and again")

    with ThreadPoolExecutor(len(EVERY)) as pool:
        assert all(pool.map(twice, EVERY, keys))
    assert refusals(house) >= before + len(EVERY)


@pytest.mark.anyio
async def test_clients_with_too_many_calls_at_once_wait_and_succeed(house: House) -> None:
    before = refusals(house)

    async def beside_another(ask: Ask, key: Key) -> str:
        async with wire(house.server) as other:
            body = {"model": "stub", "prompt": "slow [[chunks=30 interval_ms=100]]"}
            other.send(request("/api/generate", body, key.secret))
            await other.head()
            return await asyncio.to_thread(ask, house.server, key, "after the other")

    keys = [house.issue(concurrency=1) for _ in EVERY]
    assert all(await asyncio.gather(*map(beside_another, EVERY, keys)))
    assert refusals(house) >= before + len(EVERY)


@pytest.mark.parametrize("ask", EVERY)
def test_a_client_whose_budget_is_spent_is_told_so_and_does_not_try_again(house: House, ask: Ask) -> None:
    key = house.issue(tokens_per_day=10)
    before = house.metric('refusals_total{reason="insufficient_quota"}')
    with pytest.raises((openai.RateLimitError, anthropic.RateLimitError)) as caught:
        ask(house.server, key, "word " * 100)
    assert "The limit on tokens per day of this key (10) is reached: try again in" in caught.value.message
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert house.metric('refusals_total{reason="insufficient_quota"}') == before + 1


@pytest.mark.long
def test_clients_over_their_requests_a_minute_wait_and_succeed(house: House) -> None:
    keys = [house.issue(requests_per_minute=2) for _ in EVERY]

    def thrice(ask: Ask, key: Key) -> float:
        ask(house.server, key, "one")
        ask(house.server, key, "two")
        began = time.monotonic()
        assert ask(house.server, key, "three")
        return time.monotonic() - began

    with ThreadPoolExecutor(len(EVERY)) as pool:
        waited = list(pool.map(thrice, EVERY, keys))
    assert all(50 < seconds < 62 for seconds in waited), waited


@pytest.mark.long
def test_two_clients_of_one_key_succeed_where_the_minute_has_room_for_both(house: House) -> None:
    key = house.issue(requests_per_minute=4)
    for _ in range(4):
        with_openai(house.server, key, "one")
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, house.server, key, "again") for ask in (*EVERY[:2], *EVERY[3:])]
        assert all(one.result() for one in asked)


def test_the_wait_that_is_told_is_the_true_one(house: House) -> None:
    key = house.issue(tokens_per_minute=6000)
    with_openai(house.server, key, "word " * 1000)
    body = {"model": "stub", "prompt": "and again"}
    url, headers = f"{house.server.url}/api/generate", {"X-API-Key": key.secret}
    refused = httpx.post(url, headers=headers, json=body)
    assert refused.status_code == 429
    wait = int(refused.headers["retry-after"])
    time.sleep(wait)
    assert httpx.post(url, headers=headers, json=body).status_code == 200
