"""What killed processes had reserved in Redis is charged as in the account."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from benchmarks.stub_client import StubProcess
from tests.harness import BASE_DIR, wait_until
from tests.redis_server import RedisServer
from tests.shared.conftest import STEP, Watch, die, gateways, ledger_on, left, look_for_the_dead
from tests.usage.load import Clients
from usage.dimensions import CONCURRENCY, DAY, REQUESTS, TOKENS, TOTAL, Allowance
from usage.ledger import Unavailable
from usage.shared import ended
from usage.shared.ended import EndedProcesses
from usage.shared.ledger import SharedLedger
from usage.shared.messages import BEAT_SECONDS, GONE_SECONDS, LEASE_SECONDS

pytestmark = pytest.mark.anyio
LIMITS = (
    Allowance("key:a", CONCURRENCY, 20),
    Allowance("key:a", DAY, 10_000),
    Allowance("key:a", TOTAL, 50_000),
    Allowance("key:a", TOKENS, 600_000),
)
BUDGETS = LIMITS[1:3]
HOUSE = (Allowance("house", CONCURRENCY, 100),)
RESERVED = 100 + STEP


def call(number: int = 1) -> str:
    return f"{number:024x}"


def account(*tokens: int) -> Callable[[Iterable[str], float], Mapping[str, int]]:
    """An account that has so many tokens of the calls 1, 2 and so on, and no others."""
    known = {call(number): count for number, count in enumerate(tokens, 1)}
    return lambda names, _since: {name: known.get(name, 0) for name in names if "." not in name}


async def conclude(ledger: SharedLedger, *tokens: int, process: str = "dies") -> bool:
    """Concludes a process as the thread that has read its journal does."""
    processes = EndedProcesses(ledger, "lives", account(*tokens))
    processes.start()
    return await asyncio.to_thread(processes.conclude, process)


async def lefts(ledger: SharedLedger) -> list[int]:
    return [await left(ledger, limit) for limit in (LIMITS[0], *BUDGETS, HOUSE[0])]


async def test_a_reservation_of_which_the_journal_says_nothing_is_given_back(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with ledger_on(redis, "lives") as lives, ledger_on(redis, "dies") as dies:
        # It dies between the answer of Redis and its journal: only the second call has a line.
        for number in (1, 2):
            await dies.reserve(LIMITS, 100, None, call=call(number))
            await dies.reserve(HOUSE, 0, 0, call=dies.name(call(number)))
        await die(dies)
        assert await lefts(lives) == [18, 10_000 - 2 * RESERVED, 50_000 - 2 * RESERVED, 98]
        assert await conclude(lives, 0, 7)
        assert await lefts(lives) == [20, 10_000 - 7, 50_000 - 7, 100]
        assert lives.messages.living == 1
        assert await conclude(lives, 0, 7)
        assert await lefts(lives) == [20, 10_000 - 7, 50_000 - 7, 100]
    assert caplog.text.count("its calls (2) are charged as in the account") == 1


async def test_an_end_that_redis_did_not_hear_of_is_charged_as_it_was(redis: RedisServer) -> None:
    async with ledger_on(redis, "lives") as lives, ledger_on(redis, "dies") as dies:
        held = await dies.reserve(LIMITS, 100, None, call=call())
        await die(dies)
        held.settle(130)  # its journal has the line, Redis never gets the message
        assert await conclude(lives, 130)
        assert await lefts(lives) == [20, 10_000 - 130, 50_000 - 130, 100]


@pytest.mark.parametrize("midnight", [False, True], ids=["the same day", "the next day"])
async def test_what_was_charged_as_reserved_is_corrected_when_the_journal_is_read_later(
    redis: RedisServer, *, midnight: bool
) -> None:
    watch = Watch()
    async with ledger_on(redis, "lives", clock=watch) as lives, ledger_on(redis, "dies", clock=watch) as dies:
        await dies.reserve(LIMITS, 100, None, call=call())
        await die(dies)
        watch.now += LEASE_SECONDS + 1
        await look_for_the_dead(lives)
        assert await lefts(lives) == [20, 10_000 - RESERVED, 50_000 - RESERVED, 100]
        watch.now += 13 * 3600 if midnight else 60
        (await lives.reserve(LIMITS, 1, 9)).settle(500)
        assert await conclude(lives, 30)
        # What was charged yesterday is no part of today.
        assert await lefts(lives) == [20, 9500 if midnight else 10_000 - 530, 50_000 - 530, 100]


@pytest.mark.parametrize("buried", [False, True], ids=["before its lease ends", "after"])
async def test_what_the_account_knows_of_a_dead_process_is_what_it_is_charged(
    redis: RedisServer, *, buried: bool
) -> None:
    watch = Watch()
    async with ledger_on(redis, "lives", clock=watch) as lives, ledger_on(redis, "dies", clock=watch) as dies:
        for number in (1, 2, 3):  # one had ended, one was lost, one was never sent on
            await dies.reserve(LIMITS, 100, None, rate=30.0, call=call(number))
        await die(dies)
        if buried:
            watch.now += LEASE_SECONDS + 1
            await look_for_the_dead(lives)
        for _ in range(2):
            assert await conclude(lives, 40, 130)
            assert await lefts(lives) == [20, 10_000 - 170, 50_000 - 170, 100]
            watch.now += LEASE_SECONDS + 1
            await look_for_the_dead(lives)


async def test_messages_of_a_process_that_has_ended_are_not_taken(redis: RedisServer) -> None:
    async with ledger_on(redis, "lives") as lives, ledger_on(redis, "dies") as dies:
        assert await conclude(lives)
        # It is in Redis' buffer when the process ends, and read afterwards.
        with pytest.raises(Unavailable):
            await dies.reserve(LIMITS, 100, None, call=call())
        assert await lefts(lives) == [20, 10_000, 50_000, 100]
        await die(dies)


async def test_calls_of_an_older_version_are_charged_what_they_had_reserved(redis: RedisServer) -> None:
    async with ledger_on(redis, "lives") as lives, ledger_on(redis, "dies") as dies:
        await dies.reserve(LIMITS, 100, None)
        await die(dies)
        processes = EndedProcesses(lives, "lives", lambda _names, _since: {})
        processes.start()
        assert await asyncio.to_thread(processes.conclude, "dies")
        assert await lefts(lives) == [20, 10_000 - RESERVED, 50_000 - RESERVED, 100]


async def test_while_redis_is_away_nothing_is_concluded(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ended, "WAIT_SECONDS", 0.2)
    async with ledger_on(own_redis, "lives", grace=0.4) as lives:
        own_redis.pause()
        assert not await conclude(lives)
        own_redis.go_on()
        await asyncio.wait_for(lives.look(()), 10)
        assert await conclude(lives)
    processes = EndedProcesses(lives, "lives", account())
    assert processes.conclude("lives")
    assert not processes.conclude("dies")


async def test_as_many_calls_are_told_of_as_ran(redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    watch = Watch()
    async with ledger_on(redis, "lives", clock=watch) as lives, ledger_on(redis, "dies", clock=watch) as dies:
        for number in range(16):
            await dies.reserve(LIMITS, 1, 1, call=call(number))
            await dies.reserve(HOUSE, 0, 0, call=dies.name(call(number)))
        for number in range(16, 18):  # calls of keys without limits
            await dies.reserve(HOUSE, 0, 0, call=dies.name(call(number)))
        await die(dies)
        watch.now += LEASE_SECONDS + 1
        await look_for_the_dead(lives)
    assert "its calls (18) are charged what they can have written" in caplog.text


async def test_what_a_dead_process_held_is_free_within_the_time_that_is_promised(redis: RedisServer) -> None:
    watch, limit = Watch(), Allowance("key:a", REQUESTS, 5)
    async with ledger_on(redis, "lives", clock=watch) as lives, ledger_on(redis, "dies", clock=watch) as dies:
        await look_for_the_dead(lives)
        await dies.reserve((*LIMITS, limit), 1, 1)
        await die(dies)
        died = watch.now
        # Others look every BEAT_SECONDS, in the worst case right before the lease ends.
        watch.now = died + LEASE_SECONDS - 0.01
        await look_for_the_dead(lives)
        assert await left(lives, LIMITS[0]) == 19
        watch.now += BEAT_SECONDS
        await look_for_the_dead(lives)
        assert watch.now - died < GONE_SECONDS
        assert await left(lives, LIMITS[0]) == 20
    page = (BASE_DIR / "docs" / "operations.md").read_text()
    assert f"free again within {GONE_SECONDS:g} seconds" in page


KILLS = [3, pytest.param(30, marks=pytest.mark.long)]


@pytest.mark.parametrize("times", KILLS)
def test_after_a_kill_redis_says_what_the_account_says(own_redis: RedisServer, stub: StubProcess, times: int) -> None:
    chance, budget = random.Random(times), 10**7  # noqa: S311 -- it makes no secrets
    settings = {"DEFAULT_TOKENS_TOTAL": budget, "DEFAULT_CONCURRENCY": 50, "RESERVE_STEP": 1000}
    with ExitStack() as stack:
        lives, dies = gateways(stack, 2, stub.url, own_redis.url(), **settings)

        def said() -> dict[str, int]:
            """What all have reserved and spent by Redis, and spent by the account."""
            found = httpx.get(f"{lives.url}/api/v1/usage", headers=lives.headers, timeout=10).json()
            lefts = {one["dimension"]: one["left"] for one in found["limits"]}
            total = found["total"]
            return {
                "in Redis": budget - lefts["tokens_total"],
                "in the account": total["prompt_tokens"] + total["completion_tokens"],
                "running": 50 - lefts["concurrency"],
            }

        for number in range(times):
            with Clients(dies) as clients:
                clients.see(20)
                time.sleep(chance.random() * 0.3)
                assert dies.process is not None
                os.kill(dies.process.pid, signal.SIGKILL)
                dies.process.wait()
            wait_until(
                lambda: (found := said())["in Redis"] == found["in the account"] and found["running"] == 0,
                GONE_SECONDS + 5,
                lambda number=number: f"round {number}: {said()}\n{lives.log()[-2000:]}",  # type: ignore[misc]  # of its own
            )
            dies.start()
        folder = Path(lives.settings["JOURNAL_DIR"])
        wait_until(lambda: len([*folder.glob("*.lock")]) <= 3, 10)
