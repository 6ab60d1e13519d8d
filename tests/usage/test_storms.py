"""After a storm of calls that end in every way there is, nothing is held, and the account is the truth."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from benchmarks.stub_client import Recorded, StubProcess
from tests.harness import GatewayServer, wait_until
from tests.usage.house import Account, House, Key, wire
from tests.usage.storm import Storm

pytestmark = pytest.mark.anyio

SETTINGS = {
    "MAX_IN_FLIGHT": 24,
    "MAX_WAIT": 1,
    "UPSTREAM_FIRST_BYTE_TIMEOUT": 1,
    "UPSTREAM_IDLE_TIMEOUT": 1,
    "CLIENT_TIMEOUT": 2,
    "SHUTDOWN_GRACE": 0.5,
    "RESERVE_STEP": 16,
}
# A stream has a few events beside its tokens: its opening, its parts' beginnings and ends.
EVENTS = 8


@pytest.mark.parametrize("count", [400, pytest.param(10_000, marks=pytest.mark.long)])
async def test_nothing_is_held_and_the_account_is_the_truth(
    make_gateway: Callable[..., GatewayServer], stub: StubProcess, count: int
) -> None:
    stub.reset()
    house = House.of(make_gateway(**SETTINGS))
    storm = Storm(house, count, seed=count)
    await storm.blow()
    wait_until(house.is_idle, 20, lambda: house.server.log()[-3000:])
    assert stub.under_way() == []
    assert_nothing_is_held(storm)
    await stop_with_open_calls(storm)
    assert list(house.server.folder.glob("journal/*.jsonl")) == []
    assert_it_is_the_truth(house.account(), storm, stub.requests())


def assert_nothing_is_held(storm: Storm) -> None:
    """All limits are whole, but for what was really spent; no budget is overspent where each token is an event."""
    for key in storm.keys:
        # A client that left at the last moment may still be noticed: what is held for good stays held.
        wait_until(lambda key=key: is_whole(storm.house, key), 10, lambda key=key: str(usage_of(storm.house, key)))
    for key in storm.poor:
        assert usage_of(storm.house, key)["total"]["tokens"] <= 200


def is_whole(house: House, key: Key) -> bool:
    """Tells whether a key's limits are whole, but for what it has spent."""
    said = usage_of(house, key)
    left = {one["dimension"]: (one["left"], one["limit"]) for one in said["limits"]}
    free, places = left.get("concurrency", (0, 0))
    rest, budget = left.get("tokens_per_day", (0, 0))
    spent = said["total"]["tokens"]
    return bool(free == places and rest == max(0, budget - min(budget, spent)))


def usage_of(house: House, key: Key) -> dict[str, Any]:
    """Returns what the API says of a key, revoked ones too."""
    answer = httpx.get(f"{house.server.url}/api/v1/usage", headers=house.as_manager, params={"key": key.id})
    said: dict[str, Any] = answer.json()
    return said


async def stop_with_open_calls(storm: Storm) -> None:
    """Stops the server in order while some calls run; each is cut, and in the database before it ends."""
    server = storm.house.server

    async def stays() -> None:
        async with wire(server) as found:
            found.send(storm.sent(storm.say("interval_ms=20", chunks=5000, stream=True)))
            while await found.reader.read(2**16):
                pass

    clients = [asyncio.create_task(stays()) for _ in range(10)]
    await asyncio.to_thread(wait_until, lambda: storm.house.metric("in_flight") == len(clients), 10)
    assert await asyncio.to_thread(server.stop) == 0
    await asyncio.gather(*clients)


def assert_it_is_the_truth(account: Account, storm: Storm, reached: list[Recorded]) -> None:
    """Each call that reached the stub is recorded once, and at what it cost; no other costs anything."""
    records = {record["request_id"]: record for record in account.records}
    assert len(records) == len(account.records), "none twice"
    assert len({record["call"] for record in account.records}) == len(records)
    ends = Counter(record["ended"] for record in records.values())
    assert set(ends) == {"done", "left", "refused", "failed", "cut", "length"}, ends
    assert_done(records, storm)
    for request in reached:
        if request.method != "POST" or b"storm-" not in request.body:
            continue
        request_id = request.body[request.body.index(b"storm-") :][:12].decode()
        record = records.pop(request_id)
        if record["ended"] != "done":
            # What the client has seen is the least, what the stub has said the most.
            least = storm.seen.get(request_id, 0)
            assert least <= record["completion_tokens"], (record, request)
            # Of an answer in one piece the gateway can only guess from the time that it took.
            assert record["completion_tokens"] <= max(least, request.chunks) + EVENTS or not record["streamed"], record
            assert record["estimated"] or record["prompt_tokens"] + record["completion_tokens"] == 0, record
    assert {record["ended"] for record in records.values()} <= {"left", "refused", "cut"}, "never sent on"
    # A client may leave when its request is on the way, which nobody can tell from one that came just in time.
    assert all(record["estimated"] or not record["prompt_tokens"] for record in records.values())
    assert sum(record["completion_tokens"] for record in records.values() if record["streamed"]) == 0
    sums = {name: sum(record[name] for record in account.records) for name in ("prompt_tokens", "completion_tokens")}
    estimated = sum(
        record["prompt_tokens"] + record["completion_tokens"] for record in account.records if record["estimated"]
    )
    assert account.sums == {"requests": len(account.records), "estimated_tokens": estimated, **sums}


def assert_done(records: dict[str, dict[str, Any]], storm: Storm) -> None:
    """What came to its end is recorded with the stub's own counts."""
    assert len(storm.done) > 50
    for request_id, said in storm.done.items():
        record = records[request_id]
        assert (record["ended"], record["estimated"]) == ("done", False), record
        found = record["prompt_tokens"], record["completion_tokens"]
        assert found == (said.prompt_tokens, said.completion_tokens), (record, said)
