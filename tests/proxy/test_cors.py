"""Web pages may call the API from a browser: any origin unless configured, keys in headers, never credentials."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.stub_client import StubProcess
from tests.harness import GatewayServer
from tests.proxy.wire import Answer, ask, asked

GENERATE = "/api/v1/generate"
ORIGIN = "https://app.example"


def preflight(
    server: GatewayServer, origin: str = ORIGIN, path: str = GENERATE, wanted: str = "x-api-key", method: str = "POST"
) -> Answer:
    return ask(
        server,
        path,
        method="OPTIONS",
        key=False,
        Origin=origin,
        Access_Control_Request_Method=method,
        Access_Control_Request_Headers=wanted,
    )


def allowed(answer: Answer) -> set[str]:
    return set(answer.headers["access-control-allow-headers"].split(", "))


@pytest.mark.parametrize("path", [GENERATE, "/api/v1/chat", "/api/v1/completions"])
def test_a_preflight_needs_no_key(stub: StubProcess, gateway: GatewayServer, path: str) -> None:
    answer = preflight(gateway, path=path)
    assert answer.status == 200
    assert answer.body == b""
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert int(answer.headers["access-control-max-age"]) > 0
    assert "access-control-allow-credentials" not in answer.headers
    assert asked(stub) == []


def test_the_headers_that_clients_send_are_enumerated(gateway: GatewayServer) -> None:
    named = allowed(preflight(gateway))
    assert {"authorization", "content-type", "x-api-key", "x-request-id", "x-stainless-lang"} <= named
    assert "*" not in named


# What SDKs in browsers send today, and what others may tomorrow.
WANTED = [
    "x-stainless-helper,anthropic-workspace-id,x-api-key",
    "x-requested-with, openai-beta, x-stainless-poll-helper",
    "X-Custom-Of-Mine,traceparent,baggage,sentry-trace",
    "x-openwebui-user-id",
]


@pytest.mark.parametrize("wanted", WANTED)
@pytest.mark.parametrize("path", [GENERATE, "/v1/messages", "/api/tags", "/", "/api/v1/usage", "/health", "/unknown"])
def test_every_header_that_a_page_asks_for_is_allowed(gateway: GatewayServer, path: str, wanted: str) -> None:
    answer = preflight(gateway, path=path, wanted=wanted)
    assert answer.status == 200
    names = {name.strip().lower() for name in wanted.split(",")}
    assert names | {"authorization", "content-type", "x-api-key"} <= allowed(answer)
    assert "access-control-request-headers" in answer.headers["vary"].lower()
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("wanted", ["a b", "é", "x:y", "(x)", "a" * 81, "*", "", ",,,", "x-ok\t, bad name"])
def test_what_is_not_a_name_is_not_repeated(gateway: GatewayServer, wanted: str) -> None:
    answer = preflight(gateway, wanted=wanted)
    assert answer.status == 200
    assert allowed(answer) - allowed(preflight(gateway)) <= {"x-ok"}


def test_only_so_many_headers_are_allowed_at_once(gateway: GatewayServer) -> None:
    answer = preflight(gateway, wanted=",".join(f"x-{number}" for number in range(5000)))
    assert answer.status == 200
    assert 50 < len(allowed(answer)) < 200


def test_a_page_may_read_the_heartbeat(gateway: GatewayServer) -> None:
    answer = ask(gateway, "/", method="GET", key=False, Origin=ORIGIN)
    assert answer.body == b"Ollama is running"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert preflight(gateway, path="/", method="GET").headers["access-control-allow-origin"] == "*"


def test_a_page_may_not_read_the_admin(gateway: GatewayServer) -> None:
    for path in ("/admin/", "/admin/login/", "/docs"):
        for answer in (ask(gateway, path, method="GET", Origin=ORIGIN), preflight(gateway, path=path)):
            assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_may_be_read_by_any_page(gateway: GatewayServer, *, stream: bool) -> None:
    answer = ask(gateway, GENERATE, {"prompt": "a", "stream": stream}, Origin=ORIGIN)
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    exposed = {name.strip().lower() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert {"x-request-id", "retry-after"} <= exposed
    assert "access-control-allow-credentials" not in answer.headers


def test_a_refusal_may_be_read_too(gateway: GatewayServer) -> None:
    for status, path, key in ((401, GENERATE, False), (400, GENERATE, True), (404, "/api/v1/x", True)):
        answer = ask(gateway, path, {}, key=key, Origin=ORIGIN)
        assert answer.status == status
        assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("origin", ["null", "http://[", "http://[::1", "http://a:x", "é", "", "a b"])
def test_a_strange_origin_breaks_nothing(gateway: GatewayServer, origin: str) -> None:
    assert ask(gateway, GENERATE, {"prompt": "a"}, Origin=origin).status == 200
    assert preflight(gateway, origin).status in (200, 405)


def test_an_options_request_without_a_question_is_just_a_wrong_method(gateway: GatewayServer) -> None:
    assert ask(gateway, GENERATE, method="OPTIONS", Origin=ORIGIN).status == 405


def test_only_configured_origins_are_let_in(make_gateway: Callable[..., GatewayServer]) -> None:
    server = make_gateway(CORS_ALLOWED_ORIGINS=f"{ORIGIN},http://localhost:3000")
    for origin in (ORIGIN, "http://localhost:3000"):
        for answer in (preflight(server, origin), ask(server, GENERATE, {"prompt": "a"}, Origin=origin)):
            assert answer.headers["access-control-allow-origin"] == origin
            assert "origin" in answer.headers["vary"].lower()
    for origin in ("https://evil.example", ORIGIN + ".evil.example", ORIGIN + ":8443", "http://app.example", "null"):
        for answer in (preflight(server, origin), ask(server, GENERATE, {"prompt": "a"}, Origin=origin)):
            assert "access-control-allow-origin" not in answer.headers
            assert "origin" in answer.headers["vary"].lower()
