"""An answer that Ollama did not come to count costs what it can have written, and nothing where it wrote nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.stub_client import StubProcess
from proxy import speed
from proxy.speed import DEFAULT_RATE, LEAST_NANOSECONDS, MAX_RATE, MOST_MODELS, Speeds
from tests.harness import GatewayServer, wait_until
from tests.proxy.wire import Client

GENERATE = "/api/generate"
SECOND = 1_000_000_000


def learnt(*answers: tuple[int, int]) -> float:
    """The speed after some answers, each so many tokens in so many nanoseconds."""
    speeds = Speeds()
    for tokens, nanoseconds in answers:
        speeds.note("m", tokens, nanoseconds)
    return speeds.rate("m")


def test_the_speed_is_that_of_all_tokens_in_all_their_time() -> None:
    assert learnt() == DEFAULT_RATE
    assert learnt((100, SECOND)) == 100
    assert 46 < learnt((20, SECOND), (400, 8 * SECOND)) < 48, "a long answer weighs more than a short one"
    assert 99 < learnt(*[(20, SECOND)] * 9, *[(100, SECOND)] * 90) <= 100, "what is long ago weighs nothing"


def test_short_answers_teach_no_speed() -> None:
    assert learnt(*[(1, 500_000)] * 100) == DEFAULT_RATE
    assert learnt((40, SECOND), *[(1, 500_000)] * 100) == 40
    assert learnt((100, 0), (0, SECOND), (100, LEAST_NANOSECONDS - 1)) == DEFAULT_RATE


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 2**50))))
def test_no_answer_teaches_more_than_a_model_can_write(answers: list[tuple[int, int]]) -> None:
    assert 0 <= learnt(*answers) <= MAX_RATE


def test_each_model_has_a_speed_of_its_own_and_few_are_remembered() -> None:
    speeds = Speeds()
    speeds.note("slow", 20, 2 * SECOND)
    speeds.note("fast", 200, SECOND)
    assert (speeds.rate("slow"), speeds.rate("fast"), speeds.rate("unknown")) == (10, 200, DEFAULT_RATE)
    for number in range(3 * MOST_MODELS):
        speeds.note(f"model-{number}", 20, SECOND)
    assert len(speeds.models) == MOST_MODELS


def test_a_model_that_has_not_answered_lately_has_written_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(speed, "monotonic", lambda: now)
    speeds = Speeds()
    assert speeds.written("m", 0, 2.0) == 0
    speeds.note("m", 1, 500_000)
    assert speeds.written("m", 0, 2.0) == 2 * DEFAULT_RATE
    assert speeds.written("m", 0, -1.0) == 0
    now += speed.LOADED_SECONDS
    assert speeds.written("m", 0, 2.0) == 0


def test_the_time_in_which_a_prompt_is_read_writes_nothing() -> None:
    speeds = Speeds()
    speeds.note("m", 100, SECOND)
    assert speeds.written("m", 5000, 4.0) == 400
    speeds.note_prompt("m", 1000, SECOND)
    assert speeds.written("m", 3000, 4.0) == 100
    assert speeds.written("m", 9000, 4.0) == 0


def line_of(server: GatewayServer, request_id: str) -> dict[str, Any]:
    """The log's line of a request."""
    mark = f'"request_id":"{request_id}"'

    def lines() -> list[str]:
        # Whole ones: the last may be half written.
        return [line for line in server.log().split("\n")[:-1] if mark in line]

    wait_until(lambda: bool(lines()), 10, server.log)
    found: dict[str, Any] = json.loads(lines()[0])
    return found


def leave(server: GatewayServer, stub: StubProcess, request_id: str, seconds: float, **body: Any) -> dict[str, Any]:
    """Asks for an answer in one piece that never comes, and leaves after some time."""
    with Client(server) as client:
        client.ask(
            GENERATE, {"model": "m", "prompt": "a b c [[hang=1]]", "stream": False, **body}, X_Request_ID=request_id
        )
        stub.wait_for(StubProcess.under_way)
        time.sleep(seconds)  # what is charged depends on it
        client.leave()
    return line_of(server, request_id)


def answer(server: GatewayServer, prompt: str, **body: Any) -> dict[str, Any]:
    """Asks for an answer and gets it."""
    with Client(server) as client:
        client.ask(GENERATE, {"model": "m", "prompt": prompt, "stream": False, **body})
        found = client.answer()
    assert found.status == 200
    said: dict[str, Any] = json.loads(found.body)
    return said


@pytest.fixture
def server(stub: StubProcess, make_gateway: Callable[..., GatewayServer]) -> GatewayServer:
    return make_gateway(APP_ENV="production", TLS="false", UPSTREAM_FIRST_BYTE_TIMEOUT="1.5")


@pytest.mark.parametrize("cap", [3, 100_000], ids=["up to its cap", "for the time"])
def test_a_client_that_leaves_before_a_whole_answer_is_charged_for_it(
    stub: StubProcess, server: GatewayServer, cap: int
) -> None:
    answer(server, "a b c")
    line = leave(server, stub, "left", 0.5, options={"num_predict": cap})
    assert (line["ended"], line["estimated"]) == ("left", True)
    assert line["completion_tokens"] == 3 if cap == 3 else 10 <= line["completion_tokens"] < 100


def test_the_time_in_which_a_request_is_sent_writes_nothing(stub: StubProcess, server: GatewayServer) -> None:
    answer(server, "a b c")
    body = json.dumps({"model": "m", "prompt": "a b c [[hang=1]]", "stream": False}).encode()
    head = (
        f"Host: {server.host}\r\nX-API-Key: {server.key}\r\nX-Request-ID: slow\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with Client(server) as client:
        client.send(b"POST /api/generate HTTP/1.1\r\n" + head.encode() + body[:9])
        time.sleep(1)  # 20 tokens, if it counted
        client.send(body[9:])
        stub.wait_for(StubProcess.under_way)
        client.leave()
    line = line_of(server, "slow")
    assert (line["ended"], line["prompt_tokens"]) == ("left", 4)
    assert line["completion_tokens"] < 15


def test_where_nothing_tells_that_a_model_was_writing_its_prompt_alone_is_charged(
    stub: StubProcess, server: GatewayServer
) -> None:
    answer(server, "a b c", model="knobs.chunks-4")  # another one
    line = leave(server, stub, "loading", 0.5)
    assert (line["prompt_tokens"], line["completion_tokens"], line["estimated"]) == (4, 0, True)


def test_a_stream_that_has_begun_tells_that_its_model_answers(stub: StubProcess, server: GatewayServer) -> None:
    with Client(server) as client:
        client.ask(GENERATE, {"model": "m", "prompt": "a [[chunks=1 hang_after=1]]"})
        assert client.head().status == 200
        client.chunk()
        line = leave(server, stub, "beside-a-stream", 0.5)
    # Half a second at the first rate of 20 is 10, less what the call took to be asked.
    assert 5 <= line["completion_tokens"] < 100


def test_one_token_answers_do_not_make_other_calls_dear(stub: StubProcess, server: GatewayServer) -> None:
    for _ in range(16):
        assert answer(server, "a [[eval_ms=0.001]]", options={"num_predict": 1})["eval_count"] == 1
    assert leave(server, stub, "left", 0.5)["completion_tokens"] < 100
    for _ in range(16):
        answer(server, "a b c [[eval_ms=21 chunks=500]]")  # too fast to be true
    assert leave(server, stub, "left-again", 0.5)["completion_tokens"] <= MAX_RATE * 3


@pytest.mark.parametrize("path", [GENERATE, "/v1/chat/completions", "/v1/messages", "/v1/responses"])
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_an_ollama_that_never_spoke_costs_the_prompt_at_most(server: GatewayServer, path: str, *, stream: bool) -> None:
    answer(server, "a b c")
    text = "a b c [[hang=1]]"
    said = {"messages": [{"role": "user", "content": text}], "prompt": text, "input": text, "max_tokens": 9999}
    wanted = {"/v1/responses": ("input",), GENERATE: ("prompt",)}.get(path, ("messages", "max_tokens"))
    request_id = f"silent-{path.replace('/', '-')}"
    with Client(server) as client:
        body = {"model": "m", "stream": stream, **{name: said[name] for name in wanted}}
        client.ask(path, body, X_Request_ID=request_id)
        assert client.answer().status == 504
    line = line_of(server, request_id)
    assert (line["ended"], line["completion_tokens"]) == ("cut", 0)
    assert 0 < line["prompt_tokens"] < 10


def test_a_whole_answer_without_counts_costs_no_more_than_it_can_have(server: GatewayServer) -> None:
    with Client(server) as client:
        client.ask(
            GENERATE,
            {"model": "m", "prompt": "a b c [[eof_after=2]]", "stream": False},
            X_Request_ID="without-counts",
        )
        assert client.answer().status == 200
    line = line_of(server, "without-counts")
    assert line["estimated"] is True
    assert 1 <= line["completion_tokens"] < 100
