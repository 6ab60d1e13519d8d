"""Several gateways on one database and one Redis, through the front door."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import cycle
from typing import Any

import httpx
import pytest

from benchmarks.stub_client import StubProcess
from tests.harness import GatewayServer
from tests.redis_server import RedisServer

ADDRESSES = ("127.0.0.1", "127.0.0.2")
MakeGateways = Callable[..., list[GatewayServer]]


@pytest.fixture
def make_gateways(stub: StubProcess, redis: RedisServer) -> Iterator[MakeGateways]:
    """Makes gateways that share a database, a journal's folder and a Redis."""
    with ExitStack() as servers:

        def make(number: int, **settings: Any) -> list[GatewayServer]:
            made: list[GatewayServer] = []
            for address, _ in zip(cycle(ADDRESSES), range(number), strict=False):
                same = {name: made[0].settings[name] for name in ("DATABASE_URL", "JOURNAL_DIR")} if made else {}
                given = {"REDIS_URL": redis.url(), "HOST": address, "ALLOWED_HOSTS": "*", **same, **settings}
                made.append(servers.enter_context(GatewayServer(ollama_url=stub.url, **given)))
            return made

        yield make


def generate(server: GatewayServer, prompt: str = "Hello", **more: Any) -> httpx.Response:
    body = {"model": "stub", "prompt": prompt, **more}
    return httpx.post(f"{server.url}/api/v1/generate", headers=server.headers, json=body, timeout=30)


def at_once(servers: list[GatewayServer], number: int) -> Counter[int]:
    with ThreadPoolExecutor(number) as pool:
        answers = pool.map(lambda pair: generate(pair[0]), zip(cycle(servers), range(number), strict=False))
        return Counter(answer.status_code for answer in answers)


def test_of_fifty_requests_at_once_four_processes_admit_exactly_the_limit(make_gateways: MakeGateways) -> None:
    servers = make_gateways(4, DEFAULT_REQUESTS_PER_MINUTE=10)
    assert at_once(servers, 50) == {200: 10, 429: 40}
