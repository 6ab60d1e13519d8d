"""POST /api/v1/completions: OpenAI's shape in and out."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from benchmarks.stub_client import StubProcess
from tests.harness import GatewayServer
from tests.proxy.wire import ask, error_of, events

PATH = "/api/v1/completions"


def upstreams_own(stub: StubProcess, body: dict[str, Any]) -> bytes:
    answer = httpx.post(f"{stub.url}/v1/completions", json=body)
    assert answer.status_code == 200
    return answer.content


def test_an_answer_is_the_upstreams_bytes(stub: StubProcess, gateway: GatewayServer) -> None:
    answer = ask(gateway, PATH, {"prompt": "say this"})
    assert answer.status == 200
    assert answer.body == upstreams_own(stub, {"model": "mistral", "prompt": "say this", "stream": False})
    assert answer.json()["choices"][0]["text"] == "say this"
    assert answer.json()["usage"]["completion_tokens"] == 2
    (request, _own) = stub.requests("/v1/completions")
    assert request.json()["model"] == "mistral"


@pytest.mark.parametrize(
    "prompt",
    [
        "one two",
        "[[chunks=9 multibyte=1 split=1]]",
        "[[chunks=9 multibyte=1 split=random seed=8]]",
        "[[chunks=9 multibyte=1 tcp=random seed=9]]",
        "[[chunks=50 merge=9]]",
    ],
)
@pytest.mark.parametrize("usage", [False, True])
def test_a_stream_is_the_upstreams_bytes_and_ends_with_done(
    stub: StubProcess, gateway: GatewayServer, prompt: str, *, usage: bool
) -> None:
    body = {
        "model": "mistral",
        "prompt": prompt,
        "stream": True,
        **({"stream_options": {"include_usage": True}} if usage else {}),
    }
    answer = ask(gateway, PATH, body)
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.body == upstreams_own(stub, body)
    assert events(answer.body)[-1] == b"data: [DONE]"
    assert all(json.loads(event.removeprefix(b"data: ")) for event in events(answer.body)[:-1])


@pytest.mark.parametrize("fault", ["error_after=2", "eof_after=2", "die_after=2", "reset_after=2"])
def test_a_stream_that_fails_ends_with_an_error_and_without_done(gateway: GatewayServer, fault: str) -> None:
    answer = ask(gateway, PATH, {"prompt": f"[[chunks=9 interval_ms=1 {fault}]]", "stream": True})
    *passed, last = events(answer.body)
    assert [json.loads(event.removeprefix(b"data: "))["choices"][0]["text"] for event in passed] == [" 0", " 1"]
    assert error_of(last)["error"] == "upstream_failed"


def test_the_text_done_within_an_answer_ends_nothing(stub: StubProcess, gateway: GatewayServer) -> None:
    prompt = r'data: [DONE] "done":true "error": {"error": "model":"" \n\n data: [DONE] end'
    answer = ask(gateway, PATH, {"prompt": prompt, "stream": True, "max_tokens": 100})
    texts = [json.loads(event[6:])["choices"][0]["text"] for event in events(answer.body)[:-1]]
    assert "".join(texts) == prompt
