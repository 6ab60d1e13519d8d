"""POST /api/v1/generate: Ollama's answer whole, or its lines as events."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from benchmarks.stub_client import StubProcess
from tests.harness import GatewayServer
from tests.proxy.wire import ask, asked, events

PATH = "/api/v1/generate"


def upstreams_own(stub: StubProcess, **body: Any) -> bytes:
    """What Ollama says when it is asked without a gateway."""
    answer = httpx.post(f"{stub.url}/api/generate", json=body)
    assert answer.status_code == 200
    return answer.content


def test_an_answer_is_the_upstreams_bytes(stub: StubProcess, gateway: GatewayServer) -> None:
    answer = ask(gateway, PATH, {"prompt": "why is the sky blue?"})
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.body == upstreams_own(stub, model="mistral", prompt="why is the sky blue?", stream=False)
    whole = answer.json()
    assert whole["response"] == "why is the sky blue?"
    assert whole["done"] is True
    assert whole["eval_count"] == 5
    assert whole["total_duration"] > 0


@pytest.mark.parametrize(
    "prompt",
    [
        "one two three",
        "[[chunks=0]]",
        "[[chunks=12 multibyte=1]]",
        "[[chunks=12 multibyte=1 split=1]]",
        "[[chunks=12 multibyte=1 split=random seed=3]]",
        "[[chunks=12 multibyte=1 tcp=random seed=4]]",
        "[[chunks=200 merge=7]]",
        "a [[thinking=3 multibyte=1]]",
        "[[chunks=3 size=300000]]",
    ],
)
def test_each_line_becomes_one_event_with_the_same_bytes(
    stub: StubProcess, gateway: GatewayServer, prompt: str
) -> None:
    answer = ask(gateway, PATH, {"prompt": prompt, "stream": True})
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-cache"
    lines = upstreams_own(stub, model="mistral", prompt=prompt, stream=True).splitlines()
    assert events(answer.body) == [b"data: " + line for line in lines]
    done = [json.loads(event.removeprefix(b"data: "))["done"] for event in events(answer.body)]
    assert done == [False] * (len(lines) - 1) + [True]


def test_a_line_of_seven_megabytes_passes(stub: StubProcess, gateway: GatewayServer) -> None:
    body = {"model": "mistral", "prompt": "[[line_mb=7]]", "stream": True}
    lines = upstreams_own(stub, **body).splitlines()
    assert events(ask(gateway, PATH, body).body) == [b"data: " + line for line in lines]


def test_a_request_to_load_a_model_is_one_event_when_streamed(gateway: GatewayServer) -> None:
    (event,) = events(ask(gateway, PATH, {"prompt": "", "stream": True}).body)
    assert json.loads(event.removeprefix(b"data: "))["done_reason"] == "load"


def test_an_answer_is_not_streamed_unless_asked(stub: StubProcess, gateway: GatewayServer) -> None:
    for body in ({"prompt": "a b"}, {"prompt": "a b", "stream": False}, {"prompt": "a b", "stream": None}):
        assert ask(gateway, PATH, body).json()["response"] == "a b"
    assert [request.json()["stream"] for request in stub.requests("/api/generate")] == [False] * 3


def test_the_default_model_stands_in(stub: StubProcess, gateway: GatewayServer) -> None:
    for body in ({"prompt": "a"}, {"prompt": "a", "model": None}, {"prompt": "a", "model": ""}):
        assert ask(gateway, PATH, body).json()["model"] == "mistral"


def test_the_default_model_is_a_setting(stub: StubProcess, make_gateway: Any) -> None:
    server = make_gateway(OLLAMA_MODEL="llama3.2")
    assert ask(server, PATH, {"prompt": "a"}).json()["model"] == "llama3.2"


def test_fields_that_nobody_here_knows_pass_through(stub: StubProcess, gateway: GatewayServer) -> None:
    body = {
        "model": "mistral",
        "prompt": "grüße 漢字 \U0001f999 \u2028 \x7f",
        "options": {"temperature": 0.25, "stop": ["\n"], "num_predict": 3},
        "format": {"type": "object", "properties": {"A": {}, "a": {}}},
        "context": [1, 2, 3],
        "raw": False,
        "brand_new": {"x": [None, True, 1, -1.5, "é"]},
        "stream": False,
    }
    assert ask(gateway, PATH, body).status == 200
    (request,) = stub.requests("/api/generate")
    assert request.json() == body


def test_only_the_post_reaches_the_upstream(stub: StubProcess, gateway: GatewayServer) -> None:
    ask(gateway, PATH + "?model=other&stream=true", {"prompt": "a"})
    (request,) = asked(stub)
    assert (request.method, request.target) == ("POST", "/api/generate")


def test_requests_on_one_connection_are_answered_in_turn(gateway: GatewayServer) -> None:
    with httpx.Client(base_url=gateway.url, headers=gateway.headers) as client:
        for number in range(20):
            answer = client.post(PATH, json={"prompt": f"p{number}", "stream": number % 2 == 0})
            assert f'"response":"p{number}"' in answer.text


def test_connections_to_the_upstream_are_used_again(stub: StubProcess, gateway: GatewayServer) -> None:
    for number in range(10):
        assert ask(gateway, PATH, {"prompt": f"again {number}", "stream": number % 2 == 0}).status == 200
    # One would do, but the gateway may be asking for a listing of its own accord meanwhile.
    assert len({request.connection for request in asked(stub)}) <= 3


def test_the_word_done_within_an_answer_ends_nothing(gateway: GatewayServer) -> None:
    prompt = r'"done":true "done": true, {"error":"no"} \" "error" : data: [DONE] event: error end'
    answer = ask(gateway, PATH, {"prompt": prompt, "stream": True, "options": {"num_predict": 100}})
    said = [json.loads(event.removeprefix(b"data: ")) for event in events(answer.body)]
    assert "".join(line["response"] for line in said) == prompt
    assert said[-1]["done"] is True
