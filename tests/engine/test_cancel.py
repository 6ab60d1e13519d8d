"""A client that leaves frees its slot; one that waits and leaves never takes one."""

from __future__ import annotations

import socket
from contextlib import ExitStack, closing
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from engine.child import EngineProcess
from engine.wire import dumps

# Thousands of tokens that the model can't end before: minutes of work, were it not given up.
ENDLESS = {"type": "array", "items": {"type": "integer"}, "minItems": 1500}
NATIVE = ("/api/generate", {"prompt": "Count", "format": ENDLESS, "options": {"num_predict": 3500}})
COMPLETION = ("/v1/completions", {"prompt": "Count", "json_schema": ENDLESS, "max_tokens": 3500})
CHAT = (
    "/v1/chat/completions",
    {
        "messages": [{"role": "user", "content": "Count"}],
        "response_format": {"type": "json_schema", "json_schema": {"schema": ENDLESS}},
        "max_tokens": 3500,
    },
)
SHORT = {"model": "smollm2", "prompt": "Hi", "stream": False, "options": {"num_predict": 1}}
PATIENCE = 20.0  # seconds; far less than the work that was given up would take

Body = dict[str, Any]


def send(engine: EngineProcess, path: str, body: Body, *, stream: bool) -> socket.socket:
    """Sends a request on a connection of its own and doesn't wait for the answer."""
    content = dumps({"model": "smollm2", **body, "stream": stream})
    address = urlsplit(engine.url)
    connection = socket.create_connection((address.hostname or "", address.port or 0), PATIENCE)
    head = f"POST {path} HTTP/1.1\r\nHost: engine\r\nContent-Length: {len(content)}\r\n\r\n"
    connection.sendall(head.encode() + content)
    return connection


def is_busy(engine: EngineProcess) -> bool:
    """Tells whether a short request has to wait; its own leaving is a waiting client's."""
    try:
        httpx.post(f"{engine.url}/api/generate", json=SHORT, timeout=1)
    except httpx.ReadTimeout:
        return True
    return False


@pytest.mark.parametrize(("path", "body"), [NATIVE, COMPLETION, CHAT])
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_leaving_frees_the_slots_at_once(engine: EngineProcess, path: str, body: Body, *, stream: bool) -> None:
    with ExitStack() as stack:
        for _ in range(2):
            connection = stack.enter_context(closing(send(engine, path, body, stream=stream)))
            if stream:
                assert connection.recv(1000)
        assert is_busy(engine)
    answer = httpx.post(f"{engine.url}/api/generate", json=SHORT, timeout=PATIENCE)
    assert answer.json()["done"] is True


def test_one_that_waits_and_leaves_is_dropped_and_the_next_is_served(engine: EngineProcess) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(closing(send(engine, *NATIVE, stream=True)))
        second = stack.enter_context(closing(send(engine, *NATIVE, stream=True)))
        assert first.recv(1000)
        assert second.recv(1000)
        for _ in range(5):
            send(engine, *NATIVE, stream=True).close()
        assert is_busy(engine)
        first.close()
        answer = httpx.post(f"{engine.url}/api/generate", json=SHORT, timeout=PATIENCE)
        assert answer.json()["done"] is True
        assert second.recv(1000)
