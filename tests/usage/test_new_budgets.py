"""A budget that is given to somebody who has spent already counts what was spent in its period, at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from benchmarks.stub_client import StubProcess
from tests.harness import GatewayServer, wait_until
from tests.redis_server import RedisServer
from tests.shared.conftest import gateways, own_redis
from tests.usage.house import House, Key

__all__ = ["own_redis"]

GIVE: dict[str, Callable[[GatewayServer, Key], object]] = {
    "to the key": lambda server, key: server.manage("changeapikey", key.id, "--tokens-per-day", "50"),
    "to its team": lambda server, _: server.manage("limit", "team:blue", "tokens_per_month=50"),
}


def generate(server: GatewayServer, key: Key) -> httpx.Response:
    body = {"model": "stub", "prompt": "Hello", "stream": False, "options": {"num_predict": 20}}
    return httpx.post(f"{server.url}/api/generate", headers={"X-API-Key": key.secret}, json=body, timeout=30)


def spent(server: GatewayServer, key: Key) -> int:
    """What the account says that a key has spent."""
    answer = httpx.get(f"{server.url}/api/v1/usage", headers={"X-API-Key": key.secret}, timeout=30)
    return int(answer.json()["total"]["tokens"])


@pytest.fixture(params=["one process", "two that share"])
def servers(request: pytest.FixtureRequest, stub: StubProcess) -> Iterator[list[GatewayServer]]:
    with ExitStack() as stack:
        if request.param == "one process":
            yield [stack.enter_context(GatewayServer(ollama_url=stub.url))]
        else:
            redis: RedisServer = request.getfixturevalue("own_redis")
            yield gateways(stack, 2, stub.url, redis.url())


@pytest.mark.parametrize("whose", GIVE)
def test_what_was_spent_before_a_budget_was_given_counts(servers: list[GatewayServer], whose: str) -> None:
    house = House.of(servers[0])
    key = house.issue()
    servers[0].manage("changeapikey", key.id, "--team", "blue")
    wait_until(lambda: generate(servers[0], key).status_code == 200, 10)
    while spent(servers[0], key) < 50:
        assert generate(servers[0], key).status_code == 200
    wait_until(lambda: all(House(server, house.manager).metric("journal_lines") == 0 for server in servers), 10)
    GIVE[whose](servers[0], key)
    for server in servers:
        wait_until(lambda server=server: bool(House(server, "").limits(key)), 10)  # type: ignore[misc]  # of its own
        assert list((House(server, "").limits(key) or {}).values()) == [0]
        assert generate(server, key).status_code == 429
