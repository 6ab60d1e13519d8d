"""Limits through the front door of one process, again and again: what is admitted is what was allowed."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import GatewayServer, wait_until
from tests.usage.house import Answered, House, Key, ask

pytestmark = pytest.mark.anyio

BUDGET = 5000
STEP = 32
STREAMS = 200
# For each dialect that streams: its path, the field of its cap, and its body.
DIALECTS: dict[str, tuple[str, Callable[[str], dict[str, Any]]]] = {
    "/api/generate": ("num_predict", lambda text: {"prompt": text}),
    "/api/chat": ("num_predict", lambda text: {"messages": [{"role": "user", "content": text}]}),
    "/api/v1/generate": ("num_predict", lambda text: {"prompt": text}),
    "/v1/chat/completions": ("max_tokens", lambda text: {"messages": [{"role": "user", "content": text}]}),
    "/v1/completions": ("max_tokens", lambda text: {"prompt": text}),
    "/v1/messages": ("max_tokens", lambda text: {"messages": [{"role": "user", "content": text}]}),
    "/v1/responses": ("max_output_tokens", lambda text: {"input": text}),
}
WORDS = ("a", "of", "some", "prompts", "are", "underestimated", "internationalisation", "I", "is", "no")


@pytest.fixture(scope="module")
def house(stub: Any) -> Iterator[House]:
    settings = {"RESERVE_STEP": STEP, "JOURNAL_MAX_BYTES": 2**30}
    with GatewayServer(ollama_url=stub.url, **settings) as server:
        yield House.of(server)


def lines(server: GatewayServer, key: Key) -> list[dict[str, Any]]:
    """What the journal says of a key's calls."""
    paths = sorted(Path(server.folder, "journal").glob("*.jsonl"))
    said = (json.loads(line) for path in paths for line in path.read_bytes().splitlines())
    return [line for line in said if line["key"] == key.id and not line.get("again")]


@pytest.mark.parametrize("time", range(20))
async def test_of_fifty_requests_at_once_exactly_ten_are_admitted(house: House, time: int) -> None:
    key = house.issue(requests_per_minute=10)
    body = {"model": "stub", "prompt": f"time {time}"}
    asked = [ask(house.server, "/api/v1/generate", body, key.secret) for _ in range(50)]
    answers = await asyncio.gather(*asked)
    assert Counter(answer.status for answer in answers) == {200: 10, 429: 40}
    assert all(0 < int(answer.headers["retry-after"]) <= 60 for answer in answers if answer.status == 429)
    assert sum(line["event"] == "admitted" for line in lines(house.server, key)) == 10


async def test_of_fifty_calls_at_once_exactly_ten_run_together(house: House, stub: Any) -> None:
    key = house.issue(concurrency=10)
    body = {"model": "stub", "prompt": "together [[first_delay_ms=1000]]"}
    answers = await asyncio.gather(*(ask(house.server, "/api/v1/generate", body, key.secret) for _ in range(50)))
    assert Counter(answer.status for answer in answers) == {200: 10, 429: 40}
    assert house.limits(key) == {"concurrency": 10}


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 21))])
async def test_two_hundred_streams_at_once_spend_no_more_than_their_budget(house: House, seed: int) -> None:
    key = house.issue(tokens_per_day=BUDGET, concurrency=STREAMS)
    chance = random.Random(seed)  # noqa: S311 -- it makes no secrets
    answers = await asyncio.gather(*(call(house.server, key, chance) for _ in range(STREAMS)))
    kinds = Counter(answer.status for answer in answers)
    assert set(kinds) <= {200, 429}, kinds
    wait_until(house.is_idle, 30)
    said = lines(house.server, key)
    admitted = {line["call"]: line for line in said if line["event"] == "admitted"}
    ended = {line["call"]: line for line in said if line["event"] == "ended"}
    assert admitted.keys() == ended.keys()
    assert len(ended) == kinds[200]
    spent = sum(line["prompt_tokens"] + line["completion_tokens"] for line in ended.values())
    # What the estimates fell short by is the whole of the bound: each token here is an event of its own.
    error = sum(max(0, ended[call]["prompt_tokens"] - admitted[call]["prompt_estimate"]) for call in ended)
    assert error
    assert spent <= BUDGET + error
    assert spent > BUDGET * 0.9, "they ask for much more than there is"
    assert Counter(line["ended"] for line in ended.values()).keys() <= {"done", "length"}
    # Nothing is held any more: what is left is what was not spent.
    assert house.limits(key) == {"tokens_per_day": max(0, BUDGET - spent), "concurrency": STREAMS}


async def call(server: GatewayServer, key: Key, chance: random.Random) -> Answered:
    """Asks for an answer of any length, in any dialect, in pieces or in one, with and without a cap."""
    path, (cap, body_of) = chance.choice(list(DIALECTS.items()))
    prompt = " ".join(chance.choices(chance.choice([WORDS, ["a"]]), k=chance.randint(1, 60)))
    knobs = f"[[chunks={chance.randint(0, 400)} interval_ms={chance.choice([0, 1, 5])}]]"
    body = {"model": "stub", "stream": chance.random() < 0.75, **body_of(f"{prompt} {knobs}")}
    most = chance.choice([None, 20, 300, 4000])
    if most is None and path == "/v1/messages":
        most = 4000
    if most is not None:
        body |= {"options": {cap: most}} if cap == "num_predict" else {cap: most}
    await asyncio.sleep(chance.random() * 0.5)
    return await ask(server, path, body, key.secret)
