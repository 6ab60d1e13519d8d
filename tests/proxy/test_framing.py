"""What a request's bytes may look like: blanks around values, unreadable bytes behind it, versions of HTTP."""

from __future__ import annotations

import json

import pytest

from benchmarks.stub_client import StubProcess
from tests.dialects.front import DIGEST
from tests.harness import GatewayServer
from tests.proxy.wire import SECONDS, Client, ask, asked, chunk

GENERATE = "/api/v1/generate"
BODY = b'{"prompt": "framed"}'
GARBAGE = [
    b"garbage\r\n\r\n",
    b"\x00\x01\x02",
    b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
    b"{}" * 100,
    b"\x16\x03\x01\x02\x00",
]


def request(server: GatewayServer, *fields: str, body: bytes = BODY, line: str = "", key: bool = True) -> bytes:
    """A request with its fields as they are written, and no length of its own."""
    lines = [line or f"POST {GENERATE} HTTP/1.1", *([f"X-API-Key: {server.key}"] if key else []), *fields]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


# Values


@pytest.mark.parametrize("blanks", [" ", "\t", " \t  ", "   \t"], ids=repr)
def test_blanks_around_a_value_are_not_part_of_it(stub: StubProcess, gateway: GatewayServer, blanks: str) -> None:
    length = f"Content-Length:{blanks}{len(BODY)}{blanks}"
    for fields, keyed in (
        (("Host: localhost", length), True),
        ((f"Host:{blanks}localhost{blanks}", length), True),
        (("Host: localhost", length, f"Content-Encoding:{blanks}identity{blanks}"), True),
        (("Host: localhost", length, f"X-API-Key:{blanks}{gateway.key}{blanks}"), False),
        (("Host: localhost", length, f"Authorization:{blanks}Bearer {gateway.key}{blanks}"), False),
        (("Host: localhost", length, f"Expect:{blanks}100-continue{blanks}"), True),
    ):
        with Client(gateway) as client:
            client.send(request(gateway, *fields, key=keyed))
            head = client.head()
            if head.status == 100:
                head = client.head()
            assert head.status == 200, (fields, head)
            assert json.loads(client.file.read(int(head.headers["content-length"])))["response"] == "framed"
    with Client(gateway) as client:
        client.send(request(gateway, "Host: localhost", length, f"X-Request-ID:{blanks}my-id{blanks}"))
        assert client.answer().headers["x-request-id"] == "my-id"
    assert len(asked(stub)) == 7


def test_blanks_around_the_size_of_a_file_are_not_part_of_it(stub: StubProcess, gateway: GatewayServer) -> None:
    key = gateway.manage("createapikey", "files", "--scopes", "manage").stdout
    secret = next(word for word in key.split() if word.startswith("ollama_"))
    with Client(gateway) as client:
        client.send(
            request(
                gateway,
                "Host: localhost",
                f"X-API-Key: {secret} \t",
                "Content-Length: 3 \t",
                body=b"abc",
                line=f"POST /api/blobs/{DIGEST} HTTP/1.1",
                key=False,
            )
        )
        assert client.answer().status == 201
    (found,) = asked(stub)
    assert found.header("Content-Length") == "3"
    assert found.body == b"abc"


# Behind a request


@pytest.mark.parametrize("garbage", GARBAGE, ids=repr)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_valid_request_is_answered_whatever_follows_it(
    stub: StubProcess, gateway: GatewayServer, garbage: bytes, *, stream: bool
) -> None:
    body = json.dumps({"prompt": "valid [[chunks=3 interval_ms=5]]", "stream": stream}).encode()
    valid = request(gateway, "Host: localhost", f"Content-Length: {len(body)}", body=body)
    with Client(gateway) as client:
        client.send(valid + garbage)
        answer = client.answer()
        assert answer.status == 200
        assert b'"done":true' in answer.body
        assert client.is_closed()
    assert [request.ended for request in asked(stub)] == ["done"]


@pytest.mark.parametrize(
    "path", ["/health/live", "/", "/docs", "/api/tags", "/api/v1/unknown", "/static/gateway/page.css"]
)
def test_every_kind_of_answer_comes_before_the_end(gateway: GatewayServer, path: str) -> None:
    for garbage in GARBAGE:
        with Client(gateway) as client:
            client.send(request(gateway, "Host: localhost", body=garbage, line=f"GET {path} HTTP/1.1"))
            assert client.answer().status == (404 if path.endswith("unknown") else 200)
            assert client.is_closed()


def test_all_valid_requests_before_it_are_answered(gateway: GatewayServer) -> None:
    valid = request(gateway, "Host: localhost", f"Content-Length: {len(BODY)}")
    with Client(gateway) as client:
        client.send(valid * 3 + GARBAGE[0])
        assert [client.answer().json()["response"] for _ in range(3)] == ["framed"] * 3
        assert client.is_closed()


def test_a_head_that_does_not_end_ends_no_answer_before_it(small_gateway: GatewayServer) -> None:
    with Client(small_gateway) as client:
        client.ask(GENERATE, {"prompt": "[[chunks=40 interval_ms=50]]", "stream": True})
        client.send(b"GET / HTTP/1.1\r\nHost: loc")  # longer than CLIENT_TIMEOUT
        answer = client.answer()
        assert answer.status == 200
        assert b'"done":true' in answer.body
        assert client.is_closed()


@pytest.mark.parametrize("bad", [b"xyz\r\n", b"5\r\nhello-and-more", b"-1\r\n\r\n"], ids=repr)
def test_a_body_that_can_not_be_read_is_refused_once(stub: StubProcess, gateway: GatewayServer, bad: bytes) -> None:
    valid = request(gateway, "Host: localhost", f"Content-Length: {len(BODY)}")
    chunked = ("Host: localhost", "Transfer-Encoding: chunked")
    with Client(gateway) as client:
        client.send(request(gateway, *chunked, body=chunk(b'{"prompt": "') + bad))
        assert client.answer().status == 400
        assert client.is_closed()
    with Client(gateway) as client:
        client.send(request(gateway, *chunked, body=chunk(b'{"prompt": "')))
        client.sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.sock.recv(1)
        client.sock.settimeout(SECONDS)
        client.send(bad)
        assert client.sock.recv(12) == b"HTTP/1.1 400"
    assert asked(stub) == []
    with Client(gateway) as client:  # behind another
        client.send(valid + request(gateway, *chunked, body=bad))
        assert client.answer().json()["response"] == "framed"
        assert client.is_closed()
    with Client(gateway) as client:  # that was refused unread
        client.send(request(gateway, *chunked, body=chunk(b"x"), key=False))
        assert client.answer().status == 401
        client.send(bad)
        assert client.is_closed()
    assert len(asked(stub)) == 1


# Versions


@pytest.mark.parametrize(
    "line",
    [
        "GET /health/live HTTP/2.0",
        "GET /health/live HTTP/0.9",
        "GET /health/live HTTP/3.0",
        "GET /health/live HTTP/1.2",
        "GET /health/live HTTP/2",
        "GET /health/live",
        f"POST {GENERATE} HTTP/2.0",
        "PRI * HTTP/2.0",
    ],
)
def test_another_version_of_http_is_refused_as_that(stub: StubProcess, gateway: GatewayServer, line: str) -> None:
    with Client(gateway) as client:
        bare = line.startswith("PRI") or " " not in line[5:]
        fields = ("Host: localhost", f"Content-Length: {len(BODY)}")
        client.send(f"{line}\r\n\r\nSM\r\n\r\n".encode() if bare else request(gateway, *fields, line=line))
        answer = client.answer()
        assert answer.status == 505
        assert answer.headers["connection"] == "close"
        assert "HTTP/1.1" in answer.json()["message"]
        assert client.is_closed()
    assert asked(stub) == []


@pytest.mark.parametrize("expectation", ["100-continue", "100-Continue"])
def test_http_1_0_gets_no_interim_answer(gateway: GatewayServer, expectation: str) -> None:
    with Client(gateway) as client:
        fields = ("Host: localhost", f"Expect: {expectation}", f"Content-Length: {len(BODY)}")
        client.send(request(gateway, *fields, line=f"POST {GENERATE} HTTP/1.0"))
        assert client.answer().json()["response"] == "framed"
    with Client(gateway) as client:
        client.send(request(gateway, *fields))
        assert client.head().status == 100
        assert client.answer().status == 200


def test_the_server_goes_on(gateway: GatewayServer) -> None:
    assert ask(gateway, "/health/live", method="GET").status == 200
    assert not any(sign in gateway.log() for sign in ("Traceback", "Unforeseen", "ASGI"))
