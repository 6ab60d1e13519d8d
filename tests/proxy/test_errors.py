"""What is refused, and in which words: `{"error": "<type>", "message": "<what happened and what to do>"}`."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from apikeys import keys
from benchmarks.stub_client import StubProcess
from tests.harness import GatewayServer
from tests.proxy.inside import Body, exchange, upstream_of
from tests.proxy.wire import Answer, Client, ask, asked, chunk, error_of, events

GENERATE = "/api/v1/generate"
PROMPT = "nobody's business"


def refusal(answer: Answer, status: int, kind: str) -> str:
    """Insists on the shape of a refusal and returns its message."""
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert re.fullmatch("[0-9a-f]{24}", answer.headers["x-request-id"])
    assert set(answer.json()) == {"error", "message"}
    assert answer.json()["error"] == kind
    message = answer.json()["message"]
    assert isinstance(message, str)
    assert len(message) > 10
    return message


def words(answer: Answer, status: int) -> str:
    """Insists that a refusal is JSON in whatever dialect, and returns its message."""
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.headers["x-request-id"]
    body = answer.json()
    error = body["error"]
    message = body.get("message") or (error["message"] if isinstance(error, dict) else error)
    assert isinstance(message, str)
    return message


# 400: what the body is not


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"{", "line 1"),
        (b'{"prompt": "a",}', "line 1, column"),
        (b'{"prompt": "a"} {"model": "b"}', "Extra data"),
        (b"{'prompt': 'a'}", "column"),
        (b'\xef\xbb\xbf{"prompt": "a"}', "column 1"),
        (b'{"prompt": "a", "prompt": "b"}', "'prompt' stands twice"),
        (b'{"prompt": "a", "options": {"x": 1, "\\u0078": 2}}', "'x' stands twice"),
        (b'{"prompt": "a", "\xff": 1, "\\ud83e": 2}', "stands twice"),
        (b'{"prompt": "a", "keep_alive": 18446744073709551616}', "64 bits"),
        (b'{"prompt": "a", "x": NaN}', "NaN"),
        (b'{"prompt": "a", "x": -Infinity}', "Infinity"),
        (b'{"prompt": "a", "x": 1e999}', "too large"),
        (b'{"prompt": "a", "x": ' + b"1" * 5000 + b"}", "number"),
        (b'{"prompt": "a", "x": ' + b"[" * 200 + b"]" * 200 + b"}", "deeper than 128"),
        (b'{"prompt": "a", "x": ' + b"[" * 20000 + b"]" * 20000 + b"}", "deeper than 128"),
        (b"[]", "object"),
        (b'"prompt"', "object"),
        (b"null", "object"),
        (b"{}", "'prompt' is missing"),
        (b'{"model": "mistral"}', "'prompt' is missing"),
        (b'{"prompt": null}', "'prompt' is missing"),
        (b'{"prompt": 1}', "'prompt' must be a string"),
        (b'{"prompt": ["a"]}', "'prompt' must be a string"),
        (b'{"prompt": "a", "model": 1}', "'model' must be a string"),
        (b'{"prompt": "a", "stream": "yes"}', "'stream' must be true or false"),
        (b'{"prompt": "a", "stream": 1}', "'stream' must be true or false"),
        (b'{"prompt": "a", "options": []}', "'options' must be an object"),
        (b'{"prompt": "a", "images": "x"}', "'images' must be an array"),
    ],
)
def test_a_body_that_is_none_is_named(stub: StubProcess, gateway: GatewayServer, body: bytes, named: str) -> None:
    message = refusal(ask(gateway, GENERATE, body), 400, "bad_request")
    assert named in message
    assert asked(stub) == []


def test_a_completion_needs_a_prompt(stub: StubProcess, gateway: GatewayServer) -> None:
    assert "'prompt' is missing" in refusal(ask(gateway, "/api/v1/completions", {}), 400, "bad_request")
    assert asked(stub) == []


# 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X_API_Key": ""},
        {"X_API_Key": "wrong"},
        {"Authorization": "Bearer wrong"},
        {"X_API_Key": "ollama_000000000000_" + "0" * 49},
        {"Authorization": "Bearer"},
        {"Cookie": "sessionid=1"},
    ],
    ids=["none", "empty", "a wrong one", "a wrong bearer", "a wrong checksum", "half a bearer", "a cookie"],
)
def test_without_a_key_nothing_is_served(stub: StubProcess, gateway: GatewayServer, headers: dict[str, str]) -> None:
    answer = ask(gateway, GENERATE, {"prompt": "a"}, key=False, **headers)
    assert "key" in refusal(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert asked(stub) == []


def test_two_keys_that_differ_are_refused(stub: StubProcess, gateway: GatewayServer) -> None:
    answer = ask(gateway, GENERATE, {"prompt": "a"}, Authorization=f"Bearer {keys.generate().text}")
    assert "two different keys" in refusal(answer, 401, "unauthorized")
    twice = ask(gateway, GENERATE, {"prompt": "a"}, Authorization=f"Bearer {gateway.key}")
    assert twice.status == 200


def test_a_placeholder_beside_the_key_is_no_second_key(stub: StubProcess, gateway: GatewayServer) -> None:
    for authorization in ("Bearer ollama", "bearer sk-none", "Basic b2xsYW1hOm9sbGFtYQ==", "Token x"):
        assert ask(gateway, GENERATE, {"prompt": "a"}, Authorization=authorization).status == 200
    bearer = f"Bearer {gateway.key}"
    for placeholder in ("ollama", "EMPTY"):
        sent = ask(gateway, GENERATE, {"prompt": "a"}, key=False, X_API_Key=placeholder, Authorization=bearer)
        assert sent.status == 200
    alone = ask(gateway, GENERATE, {"prompt": "a"}, key=False, Authorization="Bearer ollama")
    assert "not valid" in refusal(alone, 401, "unauthorized")


@pytest.mark.parametrize("name", ["X_API_Key", "X-API_Key"])
def test_a_header_with_an_underscore_carries_no_key(gateway: GatewayServer, name: str) -> None:
    with Client(gateway) as client:
        client.send(f"POST {GENERATE} HTTP/1.1\r\nHost: localhost\r\n{name}: {gateway.key}\r\n\r\n".encode())
        refusal(client.answer(), 401, "unauthorized")


def test_a_key_in_the_query_is_not_read(gateway: GatewayServer) -> None:
    path = f"{GENERATE}?api_key={gateway.key}&X-API-Key={gateway.key}&key={gateway.key}"
    refusal(ask(gateway, path, {"prompt": "a"}, key=False), 401, "unauthorized")


def test_the_key_is_asked_for_before_anything_else_is_said(gateway: GatewayServer) -> None:
    for body, more in ((b"{", {}), (b"x", {"Content_Encoding": "gzip"}), (b"", {"Content_Length": "999999999999"})):
        refusal(ask(gateway, GENERATE, body, key=False, **more), 401, "unauthorized")


# 404 and 405


@pytest.mark.parametrize(
    "path",
    [
        "/api/x",
        "//api/x",
        "///api/v1/generate",
        "/api///v1/generate",
        "/api/v1/generate//",
        "/api/v1/generate%2f",
        "/api/v1/generate/%2f",
        "/api%2Fv1%2Fgenerate",
        "/api/v1/%67enerate",
        "/API/V1/GENERATE",
        "/api/v1/generate;a=b",
        "/api/v1/./generate",
        "/api/v1/x/../generate",
        "/api/v1/..%2f..%2fapi/generate",
        "/api/v1/nothing",
        "/api/signout",
        "/api/%00",
        "/api/%ff%fe",
        "/api/<script>",
        "/v1",
        "/v1/",
        "/nothing/at/all",
        "/.env",
        "/" + "x" * 5000,
    ],
)
@pytest.mark.parametrize("key", [True, False], ids=["with a key", "without a key"])
def test_a_path_that_is_in_no_table_does_not_exist(
    stub: StubProcess, gateway: GatewayServer, path: str, *, key: bool
) -> None:
    body = {"prompt": "a", "model": "a", "messages": []}
    assert "/docs" in words(ask(gateway, path, body, key=key), 404)
    assert asked(stub) == []


@pytest.mark.parametrize(
    "path", ["/api/v1/nothing", "/api/v1/generate//", "/nothing", "//api/v1/x", "/API/V1/generate"]
)
def test_a_path_of_nobody_elses_dialect_is_refused_in_ours(gateway: GatewayServer, path: str) -> None:
    refusal(ask(gateway, path, {}), 404, "not_found")


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "HEAD"])
@pytest.mark.parametrize("path", [GENERATE, "/api/v1/chat", "/api/v1/completions"])
def test_other_methods_are_not_taken(stub: StubProcess, gateway: GatewayServer, path: str, method: str) -> None:
    answer = ask(gateway, path, method=method)
    assert answer.status == 405
    assert answer.headers["allow"] == "POST"
    assert answer.headers["x-request-id"]
    if method != "HEAD":
        assert "POST" in refusal(answer, 405, "method_not_allowed")
    assert asked(stub) == []


def test_a_head_request_gets_a_head_alone(gateway: GatewayServer) -> None:
    with Client(gateway) as client:
        for path, status in ((GENERATE, 405), ("/api/v1/x", 404)):
            client.ask(path, method="HEAD")
            head = client.head()
            assert head.status == status
            assert int(head.headers["content-length"]) > 0
        client.ask("/api/v1/x", method="GET")
        refusal(client.answer(), 404, "not_found")  # nothing of the others' bodies came in between


def test_a_method_override_overrides_nothing(stub: StubProcess, gateway: GatewayServer) -> None:
    answer = ask(gateway, GENERATE, method="GET", X_HTTP_Method_Override="POST", X_HTTP_Method="POST")
    refusal(answer, 405, "method_not_allowed")


def test_a_model_that_is_not_there_is_named_with_what_to_do(gateway: GatewayServer) -> None:
    for path, body in (
        (GENERATE, {"prompt": "a"}),
        (GENERATE, {"prompt": "a", "stream": True}),
        ("/api/v1/chat", {"messages": [{"role": "user", "content": "a"}]}),
        ("/api/v1/completions", {"prompt": "a"}),
    ):
        answer = ask(gateway, path, {**body, "model": "missing"})
        message = refusal(answer, 404, "model_not_found")
        assert "missing" in message
        assert "ollama pull" in message


# What is not even HTTP


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"INVENTED /api/x HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/x HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n",
        b"POST /api/v1/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"POST /api/v1/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /api/v1/generate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["words", "method", "connect", "field", "length", "negative", "lengths", "smuggling", "tls"],
)
def test_what_is_no_request_is_refused_in_json(stub: StubProcess, gateway: GatewayServer, data: bytes) -> None:
    with Client(gateway) as client:
        client.send(data)
        answer = client.answer()
        refusal(answer, 400, "bad_request")
        assert answer.headers["connection"] == "close"
        assert client.is_closed()
    assert asked(stub) == []


@pytest.mark.parametrize("host", ["evil.example", "", "localhost:x", "localhost, evil.example", "<script>"])
@pytest.mark.parametrize("path", [GENERATE, "/api/x", "//api/x"])
def test_a_strange_host_is_refused_in_json(stub: StubProcess, gateway: GatewayServer, path: str, host: str) -> None:
    answer = ask(gateway, path, {"prompt": "a"}, Host=host)
    assert "ALLOWED_HOSTS" in words(answer, 400)
    assert asked(stub) == []


def test_an_old_client_without_a_host_is_refused_in_json(gateway: GatewayServer) -> None:
    with Client(gateway) as client:
        client.send(b"GET /api/v1/generate HTTP/1.0\r\n\r\n")
        refusal(client.answer(), 400, "bad_request")
        assert client.is_closed()


@pytest.mark.parametrize("offer", ["h2c", "websocket"])
def test_an_offer_of_another_protocol_is_declined(stub: StubProcess, gateway: GatewayServer, offer: str) -> None:
    how = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": offer, "HTTP2_Settings": "AAEAAEAAAAIAAAAA"}
    with Client(gateway) as client:
        for number in range(3):
            client.ask(GENERATE, {"prompt": f"number {number}"}, **how)
            assert client.answer().json()["response"] == f"number {number}"
        client.ask("/api/v1/x", method="GET", **how)
        refusal(client.answer(), 404, "not_found")
        client.ask(GENERATE, {"prompt": "after"})
        assert client.answer().json()["response"] == "after"
    assert "upgrade" not in gateway.log().lower()


def test_the_body_behind_an_offer_is_a_body_however_it_comes(stub: StubProcess, gateway: GatewayServer) -> None:
    body = b'{"prompt": "GET /api/x HTTP/1.1"}'
    head = (
        f"POST {GENERATE} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {gateway.key}\r\n"
        "Connection: Upgrade\r\nUpgrade: h2c\r\n"
    ).encode()
    plain = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(body[:9]) + chunk(body[9:]) + b"0\r\n\r\n"
    with Client(gateway) as client:
        client.send((plain + chunked) * 2)
        for _ in range(4):
            assert client.answer().json()["response"] == "GET /api/x HTTP/1.1"
        for request in (plain, chunked):
            for at in range(len(request)):
                client.send(request[at : at + 1])
            assert client.answer().json()["response"] == "GET /api/x HTTP/1.1"
    assert len(asked(stub)) == 6


# The request's id


@pytest.mark.parametrize("mine", ["a", "018f-4c_d.e", "x" * 128])
def test_a_plain_request_id_is_kept(gateway: GatewayServer, mine: str) -> None:
    for path in (GENERATE, "/api/x"):
        for stream in (False, True):
            answer = ask(gateway, path, {"prompt": "a", "stream": stream}, X_Request_ID=mine)
            assert answer.headers["x-request-id"] == mine


@pytest.mark.parametrize("mine", ["", "a b", "a\tb", "x" * 129, "é", "a,b", 'a"b', "<b>", "a=b"])
def test_a_strange_request_id_is_replaced(gateway: GatewayServer, mine: str) -> None:
    for path, status in ((GENERATE, 200), ("/api/x", 404)):
        answer = ask(gateway, path, {"prompt": "a"}, X_Request_ID=mine)
        assert answer.status == status
        assert re.fullmatch("[0-9a-f]{24}", answer.headers["x-request-id"])


def test_every_request_has_an_id_of_its_own(gateway: GatewayServer) -> None:
    assert len({ask(gateway, GENERATE, {"prompt": "a"}).headers["x-request-id"] for _ in range(20)}) == 20


def test_answers_are_not_for_browsers_to_guess_at(gateway: GatewayServer) -> None:
    for path in (GENERATE, "/api/x"):
        assert ask(gateway, path, {"prompt": "a"}).headers["x-content-type-options"] == "nosniff"


# An exception inside


@pytest.mark.anyio
async def test_an_exception_inside_is_a_500_that_says_nothing(
    inside_key: str, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_request: httpx.Request) -> httpx.Response:
        raise RuntimeError(f"the prompt was: {PROMPT}")

    with upstream_of(broken):
        answer = await exchange(GENERATE, {"prompt": PROMPT}, inside_key)
    assert "log" in refusal(answer, 500, "internal_error")
    assert PROMPT not in answer.body.decode()
    assert "Unforeseen RuntimeError" in caplog.text
    assert PROMPT not in caplog.text


@pytest.mark.anyio
async def test_an_exception_in_mid_stream_is_an_error_event(inside_key: str, caplog: pytest.LogCaptureFixture) -> None:
    async def lines() -> AsyncIterator[bytes]:
        yield b'{"response":"a","done":false}\n'
        raise RuntimeError(f"the prompt was: {PROMPT}")

    with upstream_of(lambda _request: httpx.Response(200, stream=Body(lines()))):
        answer = await exchange(GENERATE, {"prompt": PROMPT, "stream": True}, inside_key)
    assert answer.status == 200
    first, last = events(answer.body)
    assert first == b'data: {"response":"a","done":false}'
    assert error_of(last)["error"] == "internal_error"
    assert "Unforeseen RuntimeError" in caplog.text
    assert PROMPT not in caplog.text


# 503 and how long to wait


def test_a_busy_upstream_says_when_to_come_back(gateway: GatewayServer) -> None:
    for status, kind in ((503, "unavailable"), (429, "rate_limited")):
        answer = ask(gateway, GENERATE, {"prompt": f"[[status={status}]]"})
        refusal(answer, status, kind)
        assert int(answer.headers["retry-after"]) > 0


def test_an_upstream_that_is_too_slow_is_a_504(small_gateway: GatewayServer) -> None:
    for stream in (False, True):
        message = refusal(
            ask(small_gateway, GENERATE, {"prompt": "[[hang=1]]", "stream": stream}), 504, "upstream_timeout"
        )
        assert "UPSTREAM_FIRST_BYTE_TIMEOUT" in message


def test_an_upstream_that_is_not_there_is_a_502_that_names_it(make_gateway: Callable[..., GatewayServer]) -> None:
    server = make_gateway(ollama_url="http://127.0.0.1:9")
    message = refusal(ask(server, GENERATE, {"prompt": "a"}), 502, "upstream_unreachable")
    assert "http://127.0.0.1:9" in message
    assert "OLLAMA_URL" in message
    stranger: Any = ask(server, GENERATE, {"prompt": "a"}, key=False)
    assert b"127.0.0.1:9" not in stranger.body
