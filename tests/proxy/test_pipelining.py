"""Requests that a client sends ahead of its answers, and framing that nobody may be in doubt of."""

from __future__ import annotations

import time

import pytest

from benchmarks.stub_client import Recorded, StubProcess
from tests.harness import GatewayServer
from tests.proxy.wire import Client, ask, asked, chunk, process_of

GENERATE = "/api/v1/generate"
LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
MEGABYTE = 2**20


def ended(stub: StubProcess) -> list[Recorded]:
    return [request for request in asked(stub) if request.ended]


def has_no_traceback(server: GatewayServer) -> bool:
    return not any(sign in server.log() for sign in ("Traceback", "Unforeseen", "ASGI"))


def test_requests_sent_ahead_are_answered_in_order(gateway: GatewayServer) -> None:
    with Client(gateway) as client:
        for word in ("one", "two", "three"):
            client.ask(GENERATE, {"prompt": word})
        assert [client.answer().json()["response"] for _ in range(3)] == ["one", "two", "three"]
        client.ask(GENERATE, {"prompt": "four"})
        assert client.answer().json()["response"] == "four"


@pytest.mark.parametrize("reset", [False, True], ids=["politely", "with a reset"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    "ahead",
    [LIVE, LIVE * 5, LIVE * 5000, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 99_000],
    ids=["one", "a few", "very many", "a large body"],
)
def test_a_client_that_leaves_is_noticed_behind_what_it_sent_ahead(
    stub: StubProcess, gateway: GatewayServer, ahead: bytes, *, stream: bool, reset: bool
) -> None:
    with Client(gateway) as client:
        client.ask(GENERATE, {"prompt": "[[hang=1]]", "stream": stream})
        client.send(ahead)
        stub.wait_for(StubProcess.under_way)
        left_at = time.monotonic()
        client.leave(reset=reset)
    (request,) = stub.wait_for(ended)
    assert request.ended == "cancelled"
    assert request.ended_at is not None
    assert request.ended_at - left_at < 2
    assert ask(gateway, "/health/live", method="GET").status == 200
    assert has_no_traceback(gateway)


def test_a_stranger_who_leaves_many_requests_behind_leaves_no_traceback(gateway: GatewayServer) -> None:
    for _ in range(5):
        with Client(gateway) as client:
            client.send(LIVE * 50)
            client.head()
    assert ask(gateway, "/health/live", method="GET").status == 200
    assert has_no_traceback(gateway)


def test_what_comes_too_far_ahead_is_dropped_and_the_connection_ends(stub: StubProcess, gateway: GatewayServer) -> None:
    with Client(gateway) as client:
        client.ask(GENERATE, {"prompt": "words [[first_delay_ms=300]]"})
        client.send(LIVE * 5000)
        assert client.answer().json()["response"]
        assert 50 < client.file.read().count(b"HTTP/1.1 200") < 300
    assert len(asked(stub)) == 1


def test_a_large_body_sent_ahead_is_not_held(stub: StubProcess, gateway: GatewayServer) -> None:
    body = b'{"prompt": "%b"}' % (b"x" * MEGABYTE)
    with Client(gateway) as client:
        client.ask(GENERATE, {"prompt": "first [[first_delay_ms=500]]"})
        stub.wait_for(StubProcess.under_way)
        client.ask(GENERATE, body)
        assert client.answer().status == 200
        assert client.is_closed()
    assert len(asked(stub)) == 1


def test_nothing_behind_a_last_request_is_served(stub: StubProcess, gateway: GatewayServer) -> None:
    with Client(gateway) as client:
        client.ask(GENERATE, {"prompt": "last"}, Connection="close")
        client.ask(GENERATE, {"prompt": "smuggled"})
        answer = client.answer()
        assert answer.json()["response"] == "last"
        assert answer.headers["connection"] == "close"
        assert client.is_closed()
    assert len(asked(stub)) == 1


def test_requests_ahead_do_not_fill_the_memory(gateway: GatewayServer) -> None:
    many = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n" + b"a:\r\n" * 190 + b"\r\n"
    process = process_of(gateway)
    before = highest = process.memory_info().rss
    with Client(gateway) as client:
        try:
            for _ in range(30):
                client.send(many * (MEGABYTE // len(many)))
                highest = max(highest, process.memory_info().rss)
        except (ConnectionResetError, BrokenPipeError):
            pass
    assert highest - before < 10 * MEGABYTE
    assert ask(gateway, "/health/live", method="GET").status == 200


def test_a_head_with_too_many_fields_is_refused(gateway: GatewayServer) -> None:
    with Client(gateway) as client:
        client.send(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n" + b"a:\r\n" * 199 + b"\r\n")
        assert client.answer().status == 200
        client.send(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n" + b"a:\r\n" * 200 + b"\r\n")
        answer = client.answer()
        assert answer.status == 431
        assert "200 fields" in answer.json()["message"]
        assert client.is_closed()


# Where a body ends

OFFER = b"Upgrade: h2c\r\nConnection: Upgrade\r\n"


@pytest.mark.parametrize("offer", [b"", OFFER], ids=["plain", "with an offer"])
@pytest.mark.parametrize(
    "framing",
    [
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding:",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: +5",
    ],
    ids=bytes.decode,
)
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_body_whose_end_is_in_doubt_is_refused(
    stub: StubProcess, gateway: GatewayServer, method: bytes, framing: bytes, offer: bytes
) -> None:
    path = b"/api/tags" if method == b"GET" else GENERATE.encode()
    head = b"%b %b HTTP/1.1\r\nHost: localhost\r\nX-API-Key: %b\r\n" % (method, path, gateway.key.encode())
    listings = len([request for request in stub.requests() if request.target == "/api/tags"])
    with Client(gateway) as client:
        client.send(head + offer + framing + b"\r\n\r\n0\r\n\r\n" + LIVE)
        answer = client.answer()
        assert answer.status == 400
        assert answer.json()["error"] == "bad_request"
        assert client.is_closed()
    assert asked(stub) == []
    assert len([request for request in stub.requests() if request.target == "/api/tags"]) == listings
    assert has_no_traceback(gateway)


@pytest.mark.parametrize("offer", [b"", OFFER], ids=["plain", "with an offer"])
def test_chunked_is_understood_in_any_case(gateway: GatewayServer, offer: bytes) -> None:
    head = b"POST %b HTTP/1.1\r\nHost: localhost\r\nX-API-Key: %b\r\n" % (GENERATE.encode(), gateway.key.encode())
    with Client(gateway) as client:
        client.send(
            head + offer + b"Transfer-Encoding:  Chunked \r\n\r\n" + chunk(b'{"prompt": "a"}') + b"0\r\n\r\n" + LIVE
        )
        assert client.answer().json()["response"] == "a"
        assert client.answer().status == 200


def test_malformed_requests_fill_no_log(gateway: GatewayServer) -> None:
    before = len(gateway.log())
    for _ in range(10):
        with Client(gateway) as client:
            client.send(b"garbage\r\n\r\n")
            assert client.answer().status == 400
    assert "Invalid HTTP request" not in gateway.log()[before:]
