"""What only reads costs nothing of a limit, is asked of Ollama once for all, and is bounded otherwise."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from benchmarks.stub_client import StubProcess
from proxy import metadata as module
from proxy.exceptions import TooManyReads, UpstreamUnreachable
from proxy.metadata import MetadataCache, Question, ReadRate
from tests.dialects.front import BODIES, House, Keyed, opened

SHOW = "/api/show"
READS = [
    ("GET", "/api/tags", None),
    ("HEAD", "/api/tags", None),
    ("GET", "/api/ps", None),
    ("GET", "/api/version", None),
    ("GET", "/v1/models", None),
    ("GET", "/v1/models/stub", None),
    ("POST", SHOW, {"model": "stub"}),
    ("POST", "/v1/messages/count_tokens", {"model": "stub", "messages": [{"role": "user", "content": "x"}]}),
]


@pytest.fixture(scope="module")
def limited(stub: StubProcess, keys: Keyed) -> Iterator[House]:
    """A gateway whose keys have two requests a minute, of which one call at a time goes to Ollama."""
    with opened(stub, keys, DEFAULT_REQUESTS_PER_MINUTE=2, MAX_IN_FLIGHT=1, MAX_WAIT=0.2) as made:
        yield made


def shows(stub: StubProcess) -> list[dict[str, Any]]:
    return [request.json() for request in stub.requests(SHOW)]


def test_a_picker_asks_about_each_model_without_a_limit_and_without_a_record(limited: House) -> None:
    for number in range(50):
        answer = limited.ask(SHOW, {"model": f"picked-{number}"})
        assert answer.status == 200
        assert answer.headers["x-ratelimit-remaining-requests"] == "2"
    assert len(shows(limited.stub)) == 50
    journal = b"".join(file.read_bytes() for file in (limited.server.folder / "journal").glob("*.jsonl"))
    assert SHOW.encode() not in journal


@pytest.mark.parametrize(("method", "path", "body"), READS)
def test_what_reads_spends_nothing(limited: House, method: str, path: str, body: Any) -> None:
    for _ in range(5):
        answer = limited.ask(path, body, method=method, who="stubs")
        assert answer.status == 200
        assert answer.headers["x-ratelimit-remaining-requests"] == "2"


def test_what_reads_waits_for_no_turn(limited: House) -> None:
    """While the one call that may run runs."""
    url, key = limited.server.url, limited.keys["manager"]
    slow = {"model": "stub", "prompt": "[[chunks=1 first_delay_ms=1500]]", "stream": False}
    with ThreadPoolExecutor(1) as pool:
        calling = pool.submit(httpx.post, f"{url}/api/generate", headers={"X-API-Key": key}, json=slow, timeout=30)
        limited.stub.wait_for(lambda stub: stub.requests("/api/generate"))
        for method, path, body in READS:
            assert limited.ask(path, body, method=method, who="stubs").status == 200
        assert limited.ask("/api/generate", BODIES["/api/generate"], who="stubs").status == 503
        assert calling.result().status_code == 200


def test_a_description_is_asked_for_once_in_seconds(house: House) -> None:
    bodies = [house.ask(SHOW, body).body for body in ({"model": "kept"}, {"name": "kept", "verbose": False})]
    assert len(set(bodies)) == 1
    assert len(shows(house.stub)) == 1
    # The longer one is another one.
    assert "tensors" in house.ask(SHOW, {"model": "kept", "verbose": True}, who="manager").json()
    assert shows(house.stub) == [{"model": "kept"}, {"model": "kept", "verbose": True}]


def test_a_description_that_is_kept_is_for_those_who_may_use_the_model(house: House) -> None:
    assert house.ask(SHOW, {"model": "secret-2"}).status == 200
    assert house.ask(SHOW, {"model": "secret-2"}, who="stubs").status == 404
    assert house.ask(SHOW, {"model": "secret-2"}, who="nobody").status == 401


def test_what_is_wrong_is_not_kept(house: House) -> None:
    house.stub.behave(SHOW, "status=500")
    assert house.ask(SHOW, {"model": "ailing"}).status == 500
    house.stub.behave(SHOW, "")
    assert house.ask(SHOW, {"model": "ailing"}).status == 200
    for _ in range(2):
        answer = house.ask(SHOW, {"model": "missing-model"})
        assert (answer.status, "missing-model" in answer.json()["error"]) == (404, True)


@pytest.mark.parametrize(
    ("path", "body", "method"),
    [
        ("/api/pull", {"model": "stub"}, "POST"),
        ("/api/pull", {"model": "stub", "stream": False}, "POST"),
        ("/api/create", {"model": "stub-mine", "from": "stub"}, "POST"),
        ("/api/copy", {"source": "stub", "destination": "stub-copy"}, "POST"),
        ("/api/delete", {"model": "stub"}, "DELETE"),
    ],
)
def test_what_changes_models_ends_what_is_kept(house: House, path: str, body: Any, method: str) -> None:
    model = f"changing-{path[5:]}-{len(body)}"
    house.ask(SHOW, {"model": model})
    assert house.ask(path, body, method=method, who="manager").status == 200
    house.ask(SHOW, {"model": model})
    assert len(shows(house.stub)) == 2


def test_options_are_tried_out_each_time(house: House) -> None:
    for _ in range(2):
        house.ask(SHOW, {"model": "tried", "system": "x"}, who="manager")
    assert shows(house.stub) == [{"model": "tried", "system": "x"}] * 2


def test_many_who_ask_at_a_time_share_one_answer(house: House) -> None:
    house.stub.behave(SHOW, "first_delay_ms=300")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: house.ask(SHOW, {"model": "crowded"}), range(8)))
    assert {answer.status for answer in answers} == {200}
    assert len(shows(house.stub)) == 1


def test_one_who_leaves_takes_nothing_from_the_others_and_the_last_ends_the_question(house: House) -> None:
    house.stub.behave("/api/ps", "first_delay_ms=1000")
    ask = f"GET /api/ps HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {house.keys['user']}\r\n\r\n".encode()

    async def leave_two() -> bytes:
        peers = [await asyncio.open_connection(house.server.host, house.server.port) for _ in range(3)]
        for _, writer in peers:
            writer.write(ask)
        await asyncio.to_thread(house.stub.wait_for, lambda stub: stub.requests("/api/ps"))
        for _, writer in peers[:2]:
            writer.close()
        head = await peers[2][0].readline()
        peers[2][1].write(ask)
        await asyncio.to_thread(house.stub.wait_for, lambda stub: len(stub.requests("/api/ps")) == 2)
        peers[2][1].close()
        return head

    assert b" 200 " in asyncio.run(leave_two())
    house.stub.wait_for(lambda stub: [request.ended for request in stub.requests("/api/ps")] == ["done", "cancelled"])


def test_a_key_can_not_ask_without_end(stub: StubProcess, keys: Keyed) -> None:
    with opened(stub, keys) as house, httpx.Client(headers={"X-API-Key": house.keys["user"]}) as client:
        url = house.server.url + SHOW
        statuses = [0]
        while statuses[-1] != 429:
            statuses.append(client.post(url, json={"model": f"m{len(statuses)}"}).status_code)
            assert len(statuses) < 20 * module.BURST
        assert statuses.count(200) >= module.BURST
        # What is kept, and others, are served on.
        assert client.post(url, json={"model": f"m{len(statuses) - 2}"}).status_code == 200
        assert house.ask(SHOW, {"model": "another"}, who="manager").status == 200


# Without a network


class Ollama:
    """Answers after the loop's next turns, or fails."""

    def __init__(self, size: int = 2) -> None:
        self.size = size
        self.asked: list[Question] = []
        self.at_once = self.most = 0
        self.fails = False

    async def small(self, path: str, most: int, method: str, body: bytes) -> tuple[int, bytes]:
        assert most >= self.size
        self.asked.append(Question(method, path, body))
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            for _ in range(3):
                await asyncio.sleep(0)
        finally:
            self.at_once -= 1
        if self.fails:
            raise UpstreamUnreachable("there")
        return 200, b"x" * self.size


def question(number: int) -> Question:
    return Question("POST", SHOW, json.dumps(number).encode())


def cache_of(ollama: Ollama) -> MetadataCache:
    return MetadataCache(lambda: ollama)  # type: ignore[arg-type, return-value]  # has what is used


@pytest.mark.anyio
async def test_what_is_kept_is_bounded_in_number_and_in_bytes() -> None:
    ollama = Ollama()
    cache = cache_of(ollama)
    for number in range(module.MAX_ENTRIES + 50):
        await cache.get(question(number), 60)
    assert len(cache.kept) == module.MAX_ENTRIES
    assert cache.known(question(0)) is None
    ollama.size = module.MAX_ENTRY_BYTES - 100
    for number in range(1000, 1040):
        await cache.get(question(number), 60)
    assert cache.size == sum(len(reply.body) + len(asked.body) for asked, (_, reply) in cache.kept.items())
    assert cache.size <= module.MAX_BYTES
    ollama.size = module.MAX_ENTRY_BYTES + 1
    await cache.get(question(2000), 60)
    assert cache.known(question(2000)) is None
    cache.forget()
    assert (cache.size, len(cache.kept), len(cache.flights)) == (0, 0, 0)


@pytest.mark.anyio
async def test_questions_wait_for_each_other() -> None:
    ollama = Ollama()
    cache = cache_of(ollama)
    await asyncio.gather(*(cache.get(question(number % 40)) for number in range(200)))
    assert len(ollama.asked) == 40
    assert ollama.most == module.MOST_AT_ONCE
    assert cache.flights == {}


@pytest.mark.anyio
async def test_all_who_wait_hear_of_a_failure_and_the_next_asks_again() -> None:
    ollama = Ollama()
    ollama.fails = True
    cache = cache_of(ollama)
    failed = await asyncio.gather(*(cache.get(question(1), 60) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(failure, UpstreamUnreachable) for failure in failed)
    ollama.fails = False
    assert (await cache.get(question(1), 60)).body == b"xx"
    assert len(ollama.asked) == 2


@pytest.mark.anyio
async def test_an_answer_begun_before_a_change_is_neither_kept_nor_shared() -> None:
    ollama = Ollama()
    cache = cache_of(ollama)
    before = asyncio.create_task(cache.get(question(1), 60))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    cache.forget()
    await asyncio.gather(before, cache.get(question(1), 60))
    assert len(ollama.asked) == 2
    assert cache.known(question(1)) is not None


@pytest.mark.anyio
async def test_who_comes_after_the_last_has_left_asks_anew() -> None:
    ollama = Ollama()
    cache = cache_of(ollama)
    first = asyncio.create_task(cache.get(question(1)))
    await asyncio.sleep(0)
    first.cancel()
    assert (await cache.get(question(1))).status == 200
    assert first.cancelled()
    assert ollama.at_once == 0


def test_a_keys_rate_of_reading_comes_back() -> None:
    now = 0.0
    rate = ReadRate(lambda: now)
    for _ in range(int(module.BURST)):
        rate.take("a")
    with pytest.raises(TooManyReads):
        rate.take("a")
    rate.take("b")
    now += 1
    for _ in range(int(module.REFILL)):
        rate.take("a")
    with pytest.raises(TooManyReads):
        rate.take("a")
    for number in range(module.MAX_KEYS + 9):
        rate.take(str(number))
    assert len(rate.left) == module.MAX_KEYS
