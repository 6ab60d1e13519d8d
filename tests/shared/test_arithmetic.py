"""The script in Redis reckons as usage/ledger.py does: one is played against the other."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.redis_server import RedisServer
from tests.shared.conftest import STEP, ledger_on
from usage.counters import Budget
from usage.dimensions import CONCURRENCY, DIMENSIONS, OUTPUT, REQUESTS, TOKENS, Allowance
from usage.ledger import Clock, Exhausted, Ledger, Reservation
from usage.shared.ledger import SharedLedger, SharedReservation

YEARS = st.floats(1_700_000_000, 2_200_000_000)  # 2023 to 2039
# Few numbers, so that sums meet limits exactly now and then.
AMOUNTS = {REQUESTS: [1, 2, 8], TOKENS: [60, 600, 20_000], CONCURRENCY: [1, 3], OUTPUT: [1, 100, 600]}
TOKENS_OF_BUDGETS = [1, 50, 100, 256, 300, 1000, 3000]
examples = count()

allowance = st.sampled_from(DIMENSIONS).flatmap(
    lambda dimension: st.tuples(
        st.sampled_from(["key:a", "owner:1", "team:of people"]),
        st.just(dimension),
        st.sampled_from(AMOUNTS.get(dimension, TOKENS_OF_BUDGETS)),
    )
)
pause = st.one_of(st.just(0.0), st.just(60.0), st.floats(0, 30), st.floats(0, 40 * 86_400))
caps = st.sampled_from([None, 0, 1, 50, 256, 400])
deed = st.one_of(
    st.tuples(st.sampled_from(["reserve", "reserve whole"]), st.sampled_from([1, 49, 50, 100, 300]), caps),
    st.tuples(st.just("storm"), st.integers(1, 40), caps),
    st.tuples(st.just("extend"), st.integers(0, 20), st.integers(1, 8)),
    st.tuples(st.just("settle"), st.integers(0, 20), st.sampled_from([None, 0, 1, 50, 51, 100, 3000])),
)


class Pair:
    """Both ledgers under one clock."""

    def __init__(self, shared: SharedLedger, held: list[Allowance], now: float) -> None:
        self.now = now
        self.shared = shared
        shared.messages.clock = lambda: self.now
        self.memory = Ledger(STEP, Clock(lambda: self.now, lambda: self.now))
        self.held = held
        self.running: list[tuple[Reservation, SharedReservation]] = []

    async def reserve(self, prompt: int, cap: int | None, *, metered: bool = True) -> None:
        here: Reservation | Exhausted
        there: SharedReservation | Exhausted
        try:
            here = self.memory.reserve(self.held, prompt, cap, metered=metered)
        except Exhausted as exhausted:
            here = exhausted
        try:
            there = await self.shared.reserve(self.held, prompt, cap, metered=metered)
        except Exhausted as exhausted:
            there = exhausted
        if isinstance(here, Exhausted) or isinstance(there, Exhausted):
            assert isinstance(here, Exhausted)
            assert isinstance(there, Exhausted)
            assert (here.allowance, here.spent) == (there.allowance, there.spent)
            assert here.wait == pytest.approx(there.wait, abs=1e-6, rel=1e-9)
        else:
            assert (here.output, here.cap) == (there.output, there.cap)
            self.running.append((here, there))

    async def compare(self) -> None:
        await self.shared.look(self.held)
        for one in self.held:
            left, resets = self.memory.room(one)
            heard, whole_at = self.shared._heard[one[:2]]
            assert heard == left, one
            # A room is heard as seconds from then; the moved clock and the real one differ.
            assert (whole_at == float("inf")) == (resets == float("inf"))
            counter = self.memory.account(one.subject).counter(one.dimension)
            assert not isinstance(counter, Budget) or counter.promised >= 0


async def play(pair: Pair, deeds: list[tuple[float, tuple[str, int, int | None]]]) -> None:
    for wait, (what, number, more) in deeds:
        pair.now += wait
        if what.startswith("reserve"):
            await pair.reserve(number, more, metered=what == "reserve")
        elif what == "storm":
            for _ in range(number):
                await pair.reserve(1, more)
        elif pair.running and what == "extend":
            here, there = pair.running[number % len(pair.running)]
            for _ in range(more or 0):
                assert here.extend() == await there.extend()
                assert here.tokens == there.tokens
        elif pair.running:
            here, there = pair.running.pop(number % len(pair.running))
            cost = here.tokens if more is None else more
            here.settle(cost)
            there.settle(cost)
        await pair.compare()


def test_the_script_reckons_as_the_memory_does(redis: RedisServer) -> None:
    @settings(max_examples=400)
    @given(
        YEARS,
        st.lists(allowance, min_size=1, max_size=4, unique_by=lambda one: one[:2]),
        st.lists(st.tuples(pause, deed), min_size=1, max_size=25),
    )
    def same(
        now: float, held: list[tuple[str, str, int]], deeds: list[tuple[float, tuple[str, int, int | None]]]
    ) -> None:
        number = next(examples)
        named = [Allowance(f"{subject} {number}", dimension, amount) for subject, dimension, amount in held]
        runner.run(play(Pair(shared, named, now), deeds))

    with asyncio.Runner() as runner:
        entered = ledger_on(redis)
        shared = runner.run(entered.__aenter__())
        same()
        runner.run(entered.__aexit__(None, None, None))
