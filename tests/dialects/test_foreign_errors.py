"""Errors in a shape that is not their route's own: Ollama's cloud writes its own, and proxies between write HTML."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.dialects.front import BODIES, error_of
from tests.harness import GatewayServer
from tests.proxy.wire import FakeUpstream, Peer, ask, fake_upstream

PATHS = ["/api/v1/generate", "/api/chat", "/v1/chat/completions", "/api/v1/chat/completions", "/v1/completions"]


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeUpstream]:
    with fake_upstream() as fake:
        yield fake


@pytest.fixture(scope="module")
def server(upstream: FakeUpstream) -> Iterator[GatewayServer]:
    with GatewayServer(ollama_url=upstream.url, TLS="false") as gateway:
        yield gateway


def answering(status: int, body: bytes, kind: str = "application/json") -> bytes:
    return (
        f"HTTP/1.1 {status} Whatever\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n"
        "Set-Cookie: a=b\r\nServer: other\r\nAccess-Control-Allow-Origin: https://evil.example\r\nVia: 1.1 x\r\n\r\n"
    ).encode() + body


CASES: list[tuple[int, bytes, str, int, str]] = [
    (
        429,
        b'{"StatusCode":429,"Status":"429 Too Many Requests","error":"slow down"}',
        "application/json",
        429,
        "slow down",
    ),
    (400, b'{"error":"as on /api"}', "application/json", 400, "as on /api"),
    (400, b'{"error":{"message":"as on /v1","type":"api_error"}}', "application/json", 400, "as on /v1"),
    (
        400,
        b'{"type":"error","error":{"type":"x","message":"as on messages"}}',
        "application/json",
        400,
        "as on messages",
    ),
    (400, b"just text", "text/plain", 400, "just text"),
    (401, b'{"error":"unauthorized","signin_url":"https://ollama.com/c"}', "application/json", 502, "OLLAMA_API_KEY"),
    (403, b"<html><body>Forbidden</body></html>", "text/html", 502, "OLLAMA_ORIGINS"),
    (502, b"<html><body>Bad Gateway</body></html>", "text/html", 502, "Ollama failed with status 502"),
    (500, json.dumps({"error": json.dumps({"error": {"message": "deep"}})}).encode(), "application/json", 500, "deep"),
    (405, b"405 method not allowed", "text/plain", 405, "405 method not allowed"),
    (418, b"[]", "application/json", 418, "Ollama failed with status 418"),
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("case", CASES, ids=[f"{case[0]}-{case[1][:20]!r}" for case in CASES])
@pytest.mark.parametrize("stream", [True, False])
def test_an_error_takes_the_shape_of_its_route(
    upstream: FakeUpstream, server: GatewayServer, path: str, case: tuple[int, bytes, str, int, str], stream: bool
) -> None:
    status, body, kind, expected, words = case

    def behave(peer: Peer) -> None:
        peer.send(answering(status, body, kind))

    upstream.behave = behave
    answer = ask(server, path, {**BODIES[path], "stream": stream})
    assert answer.status == expected
    assert words in error_of(path, answer)[1]
    assert b"ollama.com" not in answer.body
    assert not {"set-cookie", "server", "via"} & answer.headers.keys()
    assert answer.headers.get("access-control-allow-origin") in (None, "*")


@pytest.mark.parametrize("path", PATHS)
def test_an_error_line_with_an_object_still_has_words(upstream: FakeUpstream, server: GatewayServer, path: str) -> None:
    """A message within `error` is found, in a stream too; Ollama's clients want a string there."""
    native = path in ("/api/v1/generate", "/api/chat")
    line = b'{"error":{"message":"deep","type":"api_error"}}'
    body = line + b"\n" if native else b"data: " + line + b"\n\n"

    def behave(peer: Peer) -> None:
        peer.send(answering(200, body, "application/x-ndjson" if native else "text/event-stream"))

    upstream.behave = behave
    answer = ask(server, path, {**BODIES[path], "stream": True})
    assert answer.status == 200
    last = answer.body.splitlines()[-1 if path == "/api/chat" else -2].removeprefix(b"data: ")
    error = json.loads(last)
    text = error["error"] if path == "/api/chat" else error["message"] if native else error["error"]["message"]
    assert text == "deep"
