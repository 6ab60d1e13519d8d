"""A Redis for the tests of shared limits, and ledgers on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from itertools import cycle
from typing import Any

import pytest

from tests.harness import GatewayServer
from tests.redis_server import RedisServer, binary
from usage.dimensions import Allowance
from usage.ledger import Ledger
from usage.shared.ledger import SharedLedger, shared_ledger
from usage.shared.link import Sums

STEP = 256
NOON = 1_795_435_200.0  # 2026-11-23 12:00 UTC


class Watch:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        """Returns its time."""
        return self.now


async def left(ledger: SharedLedger, one: Allowance) -> int:
    """Returns what is left of an allowance, as Redis says."""
    await ledger.look([one])
    return ledger.room(one)[0]


async def die(ledger: SharedLedger) -> None:
    """Ends a process without order; it is not closed in order later."""
    for task in ledger.messages._tasks:
        task.cancel()
    await asyncio.gather(*ledger.messages._tasks, return_exceptions=True)
    await ledger.messages.link.close()
    ledger.stop = ledger.messages.link.close  # type: ignore[method-assign]  # nothing is left to be told


async def look_for_the_dead(ledger: SharedLedger) -> None:
    """Has a process do what it does every few seconds."""
    ledger.messages._beat_due = 0
    await ledger.look(())


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """A server for the tests that leave it alone."""
    yield from served()


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server for one test, which may do with it what it likes."""
    yield from served()


def served() -> Iterator[RedisServer]:
    if binary() is None:
        pytest.skip("neither valkey-server nor redis-server is installed here: see .ci/run")
    server = RedisServer()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture
def redis(shared_redis: RedisServer) -> RedisServer:
    """The shared server, empty."""
    shared_redis.say("FLUSHALL")
    return shared_redis


@asynccontextmanager
async def ledger_on(
    server: RedisServer,
    process: str = "p",
    *,
    grace: float = 2.0,
    clock: Callable[[], float] | None = None,
    sums: Sums = lambda _now: Ledger(1),
) -> AsyncIterator[SharedLedger]:
    """A ledger as one process has it."""
    ledger = shared_ledger(server.url(), grace, STEP, process)
    ledger.messages.clock = clock
    await ledger.start(sums)
    try:
        yield ledger
    finally:
        await ledger.stop()


def gateways(stack: ExitStack, number: int, ollama: str, redis: str, **settings: Any) -> list[GatewayServer]:
    """Starts gateways on two addresses that share a database, a journal's folder and a Redis."""
    made: list[GatewayServer] = []
    for address, _ in zip(cycle(("127.0.0.1", "127.0.0.2")), range(number), strict=False):
        same = {name: made[0].settings[name] for name in ("DATABASE_URL", "JOURNAL_DIR")} if made else {}
        given = {"REDIS_URL": redis, "HOST": address, "ALLOWED_HOSTS": "*", **same, **settings}
        made.append(stack.enter_context(GatewayServer(ollama_url=ollama, **given)))
    return made
