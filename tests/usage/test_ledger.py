from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage.counters import Budget, Requests
from usage.dimensions import CONCURRENCY, DAY, MONTH, OUTPUT, REQUESTS, TOKENS, TOTAL, Allowance
from usage.ledger import Clock, Exhausted, Ledger, Reservation
from usage.portions import FIRST_WAIT

NOON = 1_795_435_200.0  # 2026-11-23 12:00 UTC
MIDNIGHT = NOON + 43_200
STEP = 256


class Watch:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def clock(self) -> Clock:
        return Clock(lambda: self.now, lambda: NOON + self.now - 1000.0)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def ledger(watch: Watch) -> Ledger:
    return Ledger(STEP, watch.clock())


def key(dimension: str, amount: int, subject: str = "key:a") -> Allowance:
    return Allowance(subject, dimension, amount)


def refused(ledger: Ledger, *held: Allowance, prompt: int = 1, cap: int | None = None) -> Exhausted:
    with pytest.raises(Exhausted) as caught:
        ledger.reserve(held, prompt, cap)
    return caught.value


def test_exactly_as_many_requests_as_allowed_are_admitted_at_once(ledger: Ledger) -> None:
    admitted = 0
    for _ in range(50):
        try:
            ledger.reserve([key(REQUESTS, 10)], 1, None)
            admitted += 1
        except Exhausted:
            pass
    assert admitted == 10


@given(st.lists(st.floats(0, 30), max_size=200), st.integers(1, 12))
def test_no_sixty_seconds_ever_hold_more_requests_than_the_limit(pauses: list[float], limit: int) -> None:
    watch = Watch()
    ledger = Ledger(STEP, watch.clock())
    admitted = []
    for pause in pauses:
        watch.now += pause
        try:
            ledger.reserve([key(REQUESTS, limit)], 1, None)
        except Exhausted:
            continue
        admitted.append(watch.now)
    for first in admitted:
        assert sum(first <= when < first + 60 for when in admitted) <= limit


@pytest.mark.parametrize("seed", range(20))
def test_sixty_a_minute_admits_sixty_in_any_sixty_seconds(seed: int) -> None:
    dice, watch = random.Random(seed), Watch()  # noqa: S311 -- it makes no secrets
    ledger = Ledger(STEP, watch.clock())
    admitted: list[float] = []
    told: list[tuple[float, float]] = []
    while len(admitted) < 600:
        watch.now += dice.choice([0, 0, dice.expovariate(4), dice.expovariate(0.2)])
        try:
            ledger.reserve([key(REQUESTS, 60)], 1, None)
            admitted.append(watch.now)
        except Exhausted as exhausted:
            told.append((watch.now + exhausted.wait, admitted[-60] + 60))
    assert all(said == pytest.approx(true) for said, true in told)
    assert all(admitted[place + 60] - admitted[place] >= 60 for place in range(len(admitted) - 60))


def test_a_client_that_waits_as_told_is_let_in(ledger: Ledger, watch: Watch) -> None:
    limit = key(REQUESTS, 2)
    for _ in range(2):
        ledger.reserve([limit], 1, None)
    watch.now += 20
    for _ in range(5):
        wait = refused(ledger, limit).wait
        assert wait == pytest.approx(40)
    watch.now += wait
    ledger.reserve([limit], 1, None)


def test_refusals_are_counted_apart_and_bounded(ledger: Ledger, watch: Watch) -> None:
    limit = key(REQUESTS, 1)
    ledger.reserve([limit], 1, None)
    for _ in range(1000):
        refused(ledger, limit)
    counter = ledger.account("key:a").counter(REQUESTS)
    assert isinstance(counter, Requests)
    assert len(counter.refusals.times) == 10
    watch.now += 60
    ledger.reserve([limit], 1, None)


def test_a_limit_of_a_kind_that_is_not_known_limits_nothing(ledger: Ledger) -> None:
    unknown = key("of_another_version", 0)
    ledger.reserve([unknown, key(REQUESTS, 5)], 1, None).settle(1)
    assert ledger.room(unknown) == (0, 0.0)


def test_a_request_is_taken_from_all_allowances_or_from_none(ledger: Ledger) -> None:
    mine, ours = key(REQUESTS, 5), key(REQUESTS, 1, "team:x")
    ledger.reserve([mine, ours], 1, None)
    assert refused(ledger, mine, ours).allowance == ours
    assert ledger.room(mine)[0] == 4


def test_calls_in_flight_free_their_place_when_they_are_settled(ledger: Ledger) -> None:
    limit = key(CONCURRENCY, 2)
    first, _ = ledger.reserve([limit], 1, None), ledger.reserve([limit], 1, None)
    refused(ledger, limit)
    first.settle(5)
    first.settle(5)
    ledger.reserve([limit], 1, None)
    refused(ledger, limit)


def test_tokens_a_minute_admit_a_burst_and_then_an_even_flow(ledger: Ledger, watch: Watch) -> None:
    limit = key(TOKENS, 6000)  # 100 a second, 1,000 at once
    held = ledger.reserve([limit], 900, 100)
    held.settle(1000)
    wait = refused(ledger, limit, prompt=50, cap=50).wait
    assert wait == pytest.approx(1.0)
    watch.now += wait
    ledger.reserve([limit], 50, 50)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 400)), max_size=150))
def test_no_minute_holds_more_tokens_than_the_limit_its_burst_and_one_request(asked: list[tuple[float, int]]) -> None:
    watch = Watch()
    ledger = Ledger(STEP, watch.clock())
    taken: list[tuple[float, int]] = []
    for pause, tokens in asked:
        watch.now += pause
        try:
            ledger.reserve([key(TOKENS, 600)], tokens, 1).settle(tokens + 1)
        except Exhausted:
            continue
        taken.append((watch.now, tokens + 1))
    for first, _ in taken:
        assert sum(tokens for when, tokens in taken if first <= when < first + 60) <= 700 + 401


def test_what_was_reserved_and_not_used_is_given_back(ledger: Ledger) -> None:
    limit = key(DAY, 1000)
    held = ledger.reserve([limit], 100, None)
    assert ledger.room(limit)[0] == 1000 - 100 - STEP
    held.settle(130)
    assert ledger.room(limit)[0] == 870


def test_a_call_without_a_cap_reserves_a_first_portion_and_more_in_steps(ledger: Ledger) -> None:
    limit = key(DAY, 1000)
    held = ledger.reserve([limit], 100, None)
    assert (held.output, held.cap) == (256, 900)
    assert [held.extend() for _ in range(4)] == [True, True, True, False]
    assert held.tokens == 1000


def test_the_cap_is_lowered_to_what_is_left(ledger: Ledger) -> None:
    limit = key(DAY, 150)
    held = ledger.reserve([limit], 100, 4000)
    assert held.cap == 50
    held.settle(150)
    assert refused(ledger, limit, prompt=10).wait == pytest.approx(12 * 3600)


def test_an_answer_in_one_piece_reserves_all_that_it_may_say(ledger: Ledger) -> None:
    limit = key(DAY, 10_000)
    held = ledger.reserve([limit], 100, 4000, metered=False)
    assert (held.output, held.cap) == (4000, 4000)
    assert ledger.room(limit)[0] == 5900


@pytest.mark.parametrize(("left", "cap"), [(10_000, 2500), (900, STEP), (100, 100)])
def test_without_a_cap_it_gets_a_share_of_what_is_left(ledger: Ledger, left: int, cap: int) -> None:
    held = ledger.reserve([key(DAY, left + 10)], 10, None, metered=False)
    assert (held.output, held.cap) == (cap, cap)


def test_a_rate_is_not_held_for_all_that_it_may_say(ledger: Ledger, watch: Watch) -> None:
    day, rate = key(DAY, 1_000_000), key(TOKENS, 6000)
    held = ledger.reserve([day, rate], 44, None, metered=False)
    assert ledger.room(rate)[0] == 1000 - 300
    watch.now += 3
    held.settle(600)
    assert ledger.room(rate)[0] == 1000 - 300
    assert ledger.room(day)[0] == 1_000_000 - 600


def test_what_counts_no_tokens_reserves_none_of_them_whole(ledger: Ledger) -> None:
    assert ledger.reserve([key(REQUESTS, 10)], 10, None, metered=False).cap is None
    assert ledger.reserve([key(TOKENS, 6000)], 10, 4000, metered=False).output == STEP


def test_a_budget_that_running_calls_hold_is_not_spent(ledger: Ledger, watch: Watch) -> None:
    limit = key(DAY, 1000)
    held = ledger.reserve([limit], 100, 900)
    while held.extend():
        pass
    found = refused(ledger, limit)
    assert (found.spent, found.wait) == (False, FIRST_WAIT)
    held.settle(300)
    ledger.reserve([limit], 100, 500).settle(700)
    assert refused(ledger, limit).spent


def test_who_waits_for_another_call_is_told_how_long_calls_take(ledger: Ledger, watch: Watch) -> None:
    limit = key(CONCURRENCY, 1)
    waits = []
    for seconds in (0, 20, 20, 20, 20, 500, 500, 0.1, *[0.0] * 30):
        held = ledger.reserve([limit], 1, 1)
        waits.append(refused(ledger, limit).wait)
        watch.now += seconds
        held.settle(2)
    assert waits[0] == FIRST_WAIT
    assert 10 < waits[5] < 20
    assert waits[7] == 60
    assert waits[-1] == 1


def test_a_spent_budget_is_whole_again_when_its_period_ends(ledger: Ledger, watch: Watch) -> None:
    day, month, total = key(DAY, 300), key(MONTH, 10_000), key(TOTAL, 100_000)
    ledger.reserve([day, month, total], 100, 200).settle(300)
    spent = refused(ledger, day, month, total)
    assert spent.spent
    assert spent.allowance == day
    watch.now += spent.wait
    ledger.reserve([day, month, total], 100, 200)
    assert ledger.room(month)[0] == 10_000 - 600


def test_a_budget_of_all_time_never_comes_back(ledger: Ledger) -> None:
    ledger.reserve([key(TOTAL, 10)], 5, 5).settle(10)
    assert refused(ledger, key(TOTAL, 10)).wait == float("inf")


def test_output_tokens_a_request_lower_the_cap(ledger: Ledger) -> None:
    assert ledger.reserve([key(OUTPUT, 100)], 5, None).cap == 100
    assert ledger.reserve([key(OUTPUT, 100)], 5, 50).cap == 50
    assert ledger.reserve([], 5, None).cap is None


def test_what_was_spent_before_the_start_counts(ledger: Ledger) -> None:
    ledger.restore({("key:a", DAY): 950})
    assert ledger.reserve([key(DAY, 1000)], 10, None).cap == 40


def test_an_account_that_holds_nothing_is_dropped_and_no_other(ledger: Ledger, watch: Watch) -> None:
    ledger.reserve([key(REQUESTS, 10, "key:asked")], 1, None).settle(2)
    ledger.reserve([key(CONCURRENCY, 10, "key:runs")], 1, None)
    ledger.reserve([key(DAY, 1000, "key:holds")], 1, None)
    ledger.reserve([key(DAY, 1000, "key:spent")], 1, None).settle(2)
    ledger.reserve([key(TOTAL, 1000, "key:spent in all")], 1, None).settle(2)
    ledger.reserve([key(TOKENS, 60, "key:owes")], 100, 1).settle(101)
    ledger.room(key(DAY, 1000, "key:looked at"))

    def left() -> set[str]:
        for _ in range(4):
            ledger.tidy(2)
        return {subject.removeprefix("key:") for subject in ledger.accounts}

    assert left() == {"asked", "runs", "holds", "spent", "spent in all", "owes"}
    watch.now += 61
    assert left() == {"runs", "holds", "spent", "spent in all", "owes"}
    watch.now += 60
    assert left() == {"runs", "holds", "spent", "spent in all"}
    watch.now += 86_400
    assert left() == {"runs", "holds", "spent in all"}


@given(st.lists(st.tuples(st.floats(0, 90), st.integers(0, 5), st.integers(1, 60)), max_size=60))
def test_dropping_accounts_loses_nothing(deeds: list[tuple[float, int, int]]) -> None:
    watch = Watch()
    tidy, untouched = Ledger(STEP, watch.clock()), Ledger(STEP, watch.clock())
    for pause, number, tokens in deeds:
        watch.now += pause
        subject = f"key:{number}"
        held = [key(REQUESTS, 2, subject), key(TOKENS, 60, subject), key(DAY, 500, subject), key(TOTAL, 2000, subject)]
        said = []
        for one in (tidy, untouched):
            try:
                reservation = one.reserve(held, tokens, tokens)
                reservation.settle(2 * tokens)
                said.append((reservation.output, [one.room(limit) for limit in held]))
            except Exhausted as exhausted:
                said.append((exhausted.wait, exhausted.allowance))
        assert said[0] == said[1]
        tidy.tidy(3)


def end(held: Reservation, prompt: int, tokens: int, metered: bool) -> int:
    """Plays a call that wants to say so many tokens; returns what it cost."""
    said = 0
    while said < tokens and (held.cap is None or said < held.cap):
        if metered and said >= held.output and not held.extend():
            break
        said += 1
    held.settle(prompt + said)
    return prompt + said


@given(st.integers(0, 2**32), st.integers(500, 20_000))
def test_a_budget_is_overspent_by_the_estimates_error_at_most(seed: int, amount: int) -> None:
    dice = random.Random(seed)  # noqa: S311 -- it makes no secrets
    ledger = Ledger(STEP, Watch().clock())
    limit = key(DAY, amount, "team:x")
    spent, error = 0, 0
    running: list[tuple[Reservation, int, int, bool]] = []
    for _ in range(200):
        estimate, truth = dice.randint(1, 50), dice.randint(1, 60)
        try:
            metered = dice.random() < 0.7
            held = ledger.reserve([limit], estimate, dice.choice([None, 10, 5000]), metered=metered)
        except Exhausted:
            pass
        else:
            error += max(0, truth - estimate)
            running.append((held, truth, dice.randint(0, 600), metered))
        if running and dice.random() < 0.6:
            spent += end(*running.pop(dice.randrange(len(running))))
    spent += sum(end(*call) for call in running)
    assert spent <= amount + error
    budget = ledger.account("team:x").counter(DAY)
    assert isinstance(budget, Budget)
    assert (budget.promised, budget.spent) == (0, spent)


@pytest.mark.parametrize(
    ("wall", "day"),
    [
        (NOON, "2026-11-23"),
        (MIDNIGHT - 1e-6, "2026-11-23"),
        (MIDNIGHT, "2026-11-24"),
        (MIDNIGHT + 86_400, "2026-11-25"),
        (MIDNIGHT - 1, "2026-11-23"),  # somebody put the clock back
        (MIDNIGHT - 86_401, "2026-11-22"),
    ],
)
def test_a_clock_knows_what_day_it_is_whichever_way_it_moved(wall: float, day: str) -> None:
    now = [MIDNIGHT + 60.0]
    clock = Clock(lambda: 0.0, lambda: now[0])
    assert clock.moment().today.periods[DAY] == "2026-11-24"
    now[0] = wall
    assert clock.moment().today.periods[DAY] == day
