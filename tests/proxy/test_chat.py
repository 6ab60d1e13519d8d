"""POST /api/v1/chat: Ollama's answer whole, or its lines as events."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from benchmarks.stub_client import StubProcess
from tests.harness import GatewayServer
from tests.proxy.wire import ask, asked, events

PATH = "/api/v1/chat"
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "parameters": {"type": "object", "properties": {"URL": {"type": "string"}, "url": {"type": "string"}}},
    },
}


def upstreams_own(stub: StubProcess, body: dict[str, Any]) -> bytes:
    answer = httpx.post(f"{stub.url}/api/chat", json=body)
    assert answer.status_code == 200
    return answer.content


def chat(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "mistral", "messages": [{"role": "user", "content": text}], **more}


@pytest.mark.parametrize(
    "body",
    [
        chat("hello to you"),
        chat("[[chunks=9 multibyte=1]]"),
        chat("[[tool=chunk]] hello", tools=[TOOL]),
        chat("[[tool=final]] hello", tools=[TOOL]),
        chat("hm [[thinking=2]]"),
    ],
    ids=["plain", "multibyte", "tool call in a chunk", "tool call at the end", "thinking"],
)
def test_the_bytes_are_the_upstreams(stub: StubProcess, gateway: GatewayServer, body: dict[str, Any]) -> None:
    whole = ask(gateway, PATH, body)
    assert whole.status == 200
    assert whole.body == upstreams_own(stub, {**body, "stream": False})

    streamed = ask(gateway, PATH, {**body, "stream": True})
    assert streamed.headers["content-type"] == "text/event-stream"
    lines = upstreams_own(stub, {**body, "stream": True}).splitlines()
    assert events(streamed.body) == [b"data: " + line for line in lines]
    assert json.loads(events(streamed.body)[-1].removeprefix(b"data: "))["done"] is True


def test_the_whole_conversation_reaches_the_upstream(stub: StubProcess, gateway: GatewayServer) -> None:
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hi", "images": ["aGk="]},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]},
        {"role": "tool", "content": "4", "tool_name": "f"},
        {"role": "user", "content": "and?"},
    ]
    assert ask(gateway, PATH, {"messages": messages}).status == 200
    (request,) = stub.requests("/api/chat")
    assert request.json() == {"messages": messages, "model": "mistral", "stream": False}


@pytest.mark.parametrize(
    ("messages", "named"),
    [
        (None, "messages"),
        ([], "messages"),
        ("hi", "messages"),
        ({"role": "user"}, "messages"),
        (["hi"], "messages[0]"),
        ([{"role": "user", "content": "a"}, {"content": "b"}], "messages[1].role"),
        ([{"role": 1, "content": "b"}], "messages[0].role"),
    ],
)
def test_a_conversation_that_is_none_is_refused_and_named(
    stub: StubProcess, gateway: GatewayServer, messages: object, named: str
) -> None:
    answer = ask(gateway, PATH, {"messages": messages})
    assert answer.status == 400
    assert named in answer.json()["message"]
    assert asked(stub) == []
