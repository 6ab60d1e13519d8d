"""The shared ledger among several processes, in good times."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import AsyncExitStack, suppress

import pytest

from proxy.limitheaders import limit_headers
from tests.redis_server import RedisServer
from tests.shared.conftest import STEP, Watch, die, ledger_on, left, look_for_the_dead
from usage.counters import Rate, Requests
from usage.dimensions import CONCURRENCY, DAY, MONTH, REQUESTS, TOKENS, TOTAL, Allowance
from usage.ledger import Clock, Exhausted, Ledger
from usage.shared.ledger import SharedLedger, SharedReservation

pytestmark = pytest.mark.anyio


def key(dimension: str, amount: int, subject: str = "key:a") -> Allowance:
    return Allowance(subject, dimension, amount)


async def admitted(ledger: SharedLedger, *held: Allowance, prompt: int = 1) -> SharedReservation | None:
    try:
        return await ledger.reserve(held, prompt, None)
    except Exhausted:
        return None


async def test_of_fifty_at_once_in_four_processes_exactly_the_limit_is_admitted(redis: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        ledgers = [await stack.enter_async_context(ledger_on(redis, f"p{number}")) for number in range(4)]
        tried = [admitted(ledgers[number % 4], key(REQUESTS, 10)) for number in range(50)]
        assert sum(held is not None for held in await asyncio.gather(*tried)) == 10


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 21))])
async def test_sixty_a_minute_admit_sixty_in_any_sixty_seconds(redis: RedisServer, seed: int) -> None:
    dice, watch = random.Random(seed), Watch()  # noqa: S311 -- it makes no secrets
    async with AsyncExitStack() as stack:
        ledgers = [await stack.enter_async_context(ledger_on(redis, f"p{number}", clock=watch)) for number in range(4)]
        times: list[float] = []
        while len(times) < 300:
            watch.now += dice.choice([0, 0, dice.expovariate(4), dice.expovariate(0.2)])
            tried = [admitted(dice.choice(ledgers), key(REQUESTS, 60)) for _ in range(dice.choice([1, 1, 8]))]
            times += [watch.now for held in await asyncio.gather(*tried) if held is not None]
    for place, when in enumerate(times):
        assert sum(when <= other < when + 60 for other in times[place:]) <= 60
    # As many as may be: whoever came in between would have found sixty before.
    assert max(sum(when <= other < when + 60 for other in times) for when in times) == 60


async def test_a_request_is_taken_from_all_allowances_or_from_none(redis: RedisServer) -> None:
    mine, ours = key(REQUESTS, 5), key(REQUESTS, 1, "team:x")
    async with ledger_on(redis) as ledger:
        assert await admitted(ledger, mine, ours)
        with pytest.raises(Exhausted) as refused:
            await ledger.reserve((mine, ours), 1, None)
        assert refused.value.allowance == ours
        assert await left(ledger, mine) == 4


async def test_what_is_left_is_heard_with_each_reservation(redis: RedisServer) -> None:
    limits = key(REQUESTS, 5), key(DAY, 1000), key(TOTAL, 5000)
    async with ledger_on(redis, "one") as one, ledger_on(redis, "two") as two:
        await one.reserve(limits, 10, 100)
        held = await two.reserve(limits, 10, 100)
        assert [two.room(limit)[0] for limit in limits] == [3, 780, 4780]
        assert 59 < two.room(limits[0])[1] <= 60
        assert two.room(limits[2])[1] == float("inf")
        held.settle(30)
        assert [two.room(limit)[0] for limit in limits] == [3, 860, 4860]
        assert one.known([*limits, key(MONTH, 5)]) == tuple(limits)


async def test_what_a_client_that_left_had_asked_for_is_given_back(redis: RedisServer) -> None:
    limits = key(CONCURRENCY, 3), key(DAY, 1000)
    async with ledger_on(redis) as ledger:
        for turns in range(20):
            asking = asyncio.create_task(ledger.reserve(limits, 10, None))
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            with suppress(asyncio.CancelledError):
                (await asking).settle(0)
            await ledger.look(())  # it was asked before the answer came that nobody waits for
            assert [await left(ledger, limit) for limit in limits] == [3, 1000]
            assert not ledger.running


async def test_a_process_that_died_holds_nothing_and_is_charged_what_it_had_reserved(redis: RedisServer) -> None:
    watch = Watch()
    limits = key(CONCURRENCY, 2), key(DAY, 1000)
    async with ledger_on(redis, "lives", clock=watch) as lives, ledger_on(redis, "dies", clock=watch) as dies:
        await dies.reserve(limits, 100, None)
        assert [await left(lives, limit) for limit in limits] == [1, 1000 - 100 - STEP]
        await die(dies)
        watch.now += 10
        await look_for_the_dead(lives)
        assert await left(lives, limits[0]) == 1
        watch.now += 10
        await look_for_the_dead(lives)
        assert [await left(lives, limit) for limit in limits] == [2, 1000 - 100 - STEP]
        watch.now += 86_400
        assert await left(lives, limits[1]) == 1000


async def test_a_process_that_died_is_charged_what_its_calls_can_have_written(redis: RedisServer) -> None:
    watch = Watch()
    limits = key(CONCURRENCY, 9), key(TOTAL, 1_000_000)
    async with ledger_on(redis, "lives", clock=watch) as lives, ledger_on(redis, "dies", clock=watch) as dies:
        await dies.reserve(limits, 100, None, metered=False, rate=30.0)
        await dies.reserve(limits, 100, 50, metered=False, rate=30.0)
        watch.now += 4
        await look_for_the_dead(dies)
        await die(dies)
        watch.now += 20
        await look_for_the_dead(lives)
        assert [await left(lives, limit) for limit in limits] == [9, 1_000_000 - 200 - 4 * 30 - 50]


async def test_a_process_that_was_only_slow_is_not_charged_for_it(redis: RedisServer) -> None:
    watch = Watch()
    limit = key(TOTAL, 1_000_000)
    async with ledger_on(redis, "lives", clock=watch) as lives, ledger_on(redis, "sleeps", clock=watch) as sleeps:
        held = await sleeps.reserve([limit], 100, None, metered=False, rate=30.0)
        reserved = held.tokens
        for _ in range(2):
            watch.now += 20
            await look_for_the_dead(lives)
            assert await left(lives, limit) > 999_000
            await look_for_the_dead(sleeps)
            assert await left(lives, limit) == 1_000_000 - reserved
        held.settle(150)
        await sleeps.look(())
        assert await left(lives, limit) == 999_850


async def test_a_process_that_was_only_slow_takes_its_calls_up_again(redis: RedisServer) -> None:
    watch = Watch()
    limits = key(CONCURRENCY, 2), key(DAY, 1000)
    async with ledger_on(redis, "lives", clock=watch) as lives, ledger_on(redis, "sleeps", clock=watch) as sleeps:
        held = await sleeps.reserve(limits, 100, None)
        watch.now += 20
        await look_for_the_dead(lives)
        assert await left(lives, limits[0]) == 2
        assert await held.extend()
        assert [await left(lives, limit) for limit in limits] == [1, 1000 - 100 - 2 * STEP]
        held.settle(150)
        await sleeps.look(())
        assert [await left(lives, limit) for limit in limits] == [2, 850]


async def test_a_process_that_ends_in_order_leaves_nothing(redis: RedisServer) -> None:
    limits = key(CONCURRENCY, 2), key(DAY, 1000)
    async with ledger_on(redis, "ends") as ends:
        (await ends.reserve(limits, 100, None)).settle(130)
    async with ledger_on(redis, "begins") as begins:
        assert [await left(begins, limit) for limit in limits] == [2, 870]
        assert begins.messages.living == 1


async def test_one_process_alone_sums_up_what_was_spent(redis: RedisServer) -> None:
    asked = 0

    def known(now: float) -> Ledger:
        nonlocal asked
        asked += 1
        ledger = Ledger(STEP, Clock(lambda: now, lambda: now))
        ledger.restore({("key:a", DAY): 100, ("key:a", MONTH): 300, ("key:a", TOTAL): 900})
        requests, rate = (ledger.account("key:a").counter(dimension) for dimension in (REQUESTS, TOKENS))
        assert isinstance(requests, Requests)
        assert isinstance(rate, Rate)
        for ago in (59, 20, 1):
            requests.minute.take(now - ago)
        rate.flow.take(6000, 1000, now)
        return ledger

    async with AsyncExitStack() as stack:
        starting = [stack.enter_async_context(ledger_on(redis, f"p{number}", sums=known)) for number in range(8)]
        ledgers = await asyncio.gather(*starting)
        assert asked == 1
        for ledger in ledgers:
            limits = key(DAY, 1000), key(MONTH, 1000), key(TOTAL, 1000), key(REQUESTS, 10)
            assert [await left(ledger, limit) for limit in limits] == [900, 700, 100, 7]
            assert await left(ledger, key(TOKENS, 6000)) < 500


async def test_what_was_summed_up_before_midnight_is_gone_after_it(redis: RedisServer) -> None:
    def known(now: float) -> Ledger:
        ledger = Ledger(STEP, Clock(lambda: now, lambda: now))
        ledger.restore({("key:a", DAY): 100, ("key:a", TOTAL): 900})
        return ledger

    async with ledger_on(redis, sums=known) as ledger:
        assert await left(ledger, key(DAY, 1000)) == 900
        midnight = (ledger.messages.link.epoch.seeded_at // 86_400 + 1) * 86_400  # type: ignore[union-attr]  # it has begun
        ledger.messages.clock = lambda: midnight
        assert await left(ledger, key(DAY, 1000)) == 1000
        assert await left(ledger, key(TOTAL, 1000)) == 100


async def test_all_keys_live_in_one_slot_and_what_counts_a_minute_goes_by_itself(redis: RedisServer) -> None:
    async with ledger_on(redis) as ledger:
        held = await ledger.reserve((key(REQUESTS, 5), key(TOKENS, 600), key(DAY, 1000)), 10, 100)
        held.settle(20)
        await ledger.look(())
        names = [name for name in redis.say("KEYS", "*").split(b"\r\n") if name.startswith(b"{")]
        assert len(names) > 4
        assert all(name.startswith(b"{gw}:") for name in names)
        passing = [name.decode() for name in names if b":requests:" in name or b":due:" in name]
        assert len(passing) == 2
        assert all(b":-1" not in redis.say("TTL", name) for name in passing)


async def test_a_call_that_is_counted_late_is_counted_where_it_began(redis: RedisServer) -> None:
    watch, limit = Watch(), key(REQUESTS, 5)
    async with ledger_on(redis, clock=watch) as ledger:
        watch.now += 50
        await ledger.reserve([limit], 1, None)
        ledger.messages.put("adopt", "of another process", 1, 0, 45.0, [list(limit)])
        assert await left(ledger, limit) == 3
        watch.now += 16
        assert await left(ledger, limit) == 4
        assert 0 < ledger.room(limit)[1] <= 44
        assert [name for name, _ in limit_headers(ledger, (limit,), "openai")][:2] == [
            b"RateLimit-Policy",
            b"RateLimit",
        ]


async def test_a_new_budget_counts_what_was_spent_before(redis: RedisServer) -> None:
    total, day = key(TOTAL, 1000), key(DAY, 1000)
    async with ledger_on(redis) as ledger:
        held = await ledger.reserve((total, day), 10, 90)
        ledger.raise_spent({("key:a", TOTAL): 300, ("key:a", DAY): 200})
        assert [await left(ledger, limit) for limit in (total, day)] == [600, 700]
        held.settle(50)
        # It was said before, by another process or of an earlier moment.
        ledger.raise_spent({("key:a", TOTAL): 340, ("key:a", DAY): 240})
        yesterday = time.time() - 86_400
        ledger.messages.put("raise", [["key:a", TOTAL, 400, yesterday], ["key:a", DAY, 900, yesterday]])
        assert [await left(ledger, limit) for limit in (total, day)] == [600, 750]
