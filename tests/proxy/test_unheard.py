"""An answer in one piece that nobody waited for still cost something: what Ollama writes in the time that it took."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from benchmarks.stub_client import StubProcess
from proxy.speed import FIRST, Speed
from tests.harness import GatewayServer, wait_until
from tests.proxy.wire import Client

GENERATE = "/api/generate"


def test_the_speed_follows_what_ollama_says() -> None:
    speed = Speed()
    assert speed.tokens_in(2) == 2 * FIRST
    for _ in range(100):
        speed.note(100, 1_000_000_000)
    assert 99 <= speed.tokens_in(1) <= 100
    speed.note(0, 1)
    speed.note(1, 0)
    assert 99 <= speed.tokens_in(1) <= 100


@pytest.mark.parametrize("cap", [3, 100_000], ids=["up to its cap", "for the time"])
def test_a_client_that_leaves_before_a_whole_answer_is_charged_for_it(
    stub: StubProcess, make_gateway: Callable[..., GatewayServer], cap: int
) -> None:
    server = make_gateway()
    with Client(server) as client:
        body = {"model": "m", "prompt": "a b c [[hang=1]]", "stream": False, "options": {"num_predict": cap}}
        client.ask(GENERATE, body)
        stub.wait_for(StubProcess.under_way)
        time.sleep(0.5)
        client.leave()
    wait_until(lambda: "ended=left" in server.log(), 5, server.log)
    (line,) = [line for line in server.log().splitlines() if "ended=left" in line]
    tokens = int(line.partition("completion_tokens=")[2].split()[0])
    assert tokens == 3 if cap == 3 else 10 <= tokens < 100
    assert "estimated=True" in line
