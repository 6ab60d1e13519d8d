"""Which local models stand for cloud ones: asked once, remembered a while, forgotten when it may have changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from proxy import catalogue as module
from proxy.catalogue import Catalogue
from proxy.upstream import Upstream

pytestmark = pytest.mark.anyio

REMOTE = {"name": "Innocent:Latest", "remote_host": "https://ollama.com:443"}
LOCAL = {"name": "mistral:latest"}


class Ollama:
    """An upstream that lists what the test says, counts how often, and may be slow."""

    def __init__(self, answer: Callable[[], httpx.Response]) -> None:
        self.answer = answer
        self.asked = 0
        self.came = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.upstream = Upstream("http://ollama.test", httpx.MockTransport(self.handle), {}, 5)

    async def handle(self, request: httpx.Request) -> httpx.Response:
        assert (request.method, request.url.path) == ("GET", "/api/tags")
        self.asked += 1
        self.came.set()
        await self.gate.wait()
        return self.answer()


def listing(*models: dict[str, Any]) -> Callable[[], httpx.Response]:
    return lambda: httpx.Response(200, json={"models": list(models)})


async def test_the_list_is_read_once_for_many_at_once() -> None:
    ollama, catalogue = Ollama(listing(LOCAL, REMOTE)), Catalogue()
    found = await asyncio.gather(*(catalogue.fresh(ollama.upstream) for _ in range(20)))
    assert set(found) == {frozenset({"innocent:latest"})}
    await catalogue.fresh(ollama.upstream)
    assert ollama.asked == 1


async def test_an_old_list_serves_while_a_new_one_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    ollama, catalogue = Ollama(listing(REMOTE)), Catalogue()
    await catalogue.fresh(ollama.upstream)
    monkeypatch.setattr(module, "FRESH", -1.0)
    ollama.gate.clear()
    ollama.answer = listing(LOCAL)
    assert await catalogue.fresh(ollama.upstream) == {"innocent:latest"}
    ollama.gate.set()
    assert catalogue.reading is not None
    await catalogue.reading
    assert catalogue.remote == frozenset()


async def test_a_forgotten_list_is_waited_for() -> None:
    ollama, catalogue = Ollama(listing(LOCAL)), Catalogue()
    assert await catalogue.fresh(ollama.upstream) == frozenset()
    ollama.answer = listing(LOCAL, REMOTE)
    catalogue.forget()
    assert await catalogue.fresh(ollama.upstream) == {"innocent:latest"}


async def test_a_list_that_changed_while_it_was_read_is_read_again() -> None:
    ollama, catalogue = Ollama(listing(LOCAL)), Catalogue()
    ollama.gate.clear()
    waiting = asyncio.create_task(catalogue.fresh(ollama.upstream))
    await ollama.came.wait()
    catalogue.close()
    ollama.gate.set()
    await waiting
    ollama.answer = listing(REMOTE)
    assert await catalogue.fresh(ollama.upstream) == {"innocent:latest"}
    assert ollama.asked == 2


@pytest.mark.parametrize(
    "answer",
    [
        lambda: httpx.Response(500, json={"error": "x"}),
        lambda: httpx.Response(404, text="404 page not found"),
        lambda: httpx.Response(503, json={"models": []}),
        lambda: httpx.Response(200, json={"models": None}),
        lambda: httpx.Response(200, text="<html>"),
        lambda: httpx.Response(200, json=[]),
    ],
)
async def test_what_is_no_list_leaves_what_was_known(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[], httpx.Response]
) -> None:
    ollama, catalogue = Ollama(listing(REMOTE)), Catalogue()
    await catalogue.fresh(ollama.upstream)
    catalogue.forget()
    ollama.answer = answer
    for _ in range(3):
        assert await catalogue.fresh(ollama.upstream) == {"innocent:latest"}
    assert ollama.asked == 2  # nobody waits for the same failure again
    monkeypatch.setattr(module, "RETRY", -1.0)
    await catalogue.fresh(ollama.upstream)
    assert ollama.asked == 3  # but it is asked again after a while


async def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    ollama, catalogue = Ollama(listing(REMOTE)), Catalogue()
    ollama.gate.clear()
    async with asyncio.timeout(5):
        assert await catalogue.fresh(ollama.upstream) == frozenset()


async def test_who_leaves_while_waiting_does_not_stop_the_others() -> None:
    ollama, catalogue = Ollama(listing(REMOTE)), Catalogue()
    ollama.gate.clear()
    leaver, stayer = (asyncio.create_task(catalogue.fresh(ollama.upstream)) for _ in range(2))
    await ollama.came.wait()
    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    ollama.gate.set()
    assert await stayer == {"innocent:latest"}
