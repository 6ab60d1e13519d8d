"""What a client may send: bodies, their sum, heads, and the time that both may take."""

from __future__ import annotations

import json
import select
import threading
import time

import pytest

from benchmarks.stub_client import StubProcess
from tests.harness import GatewayServer, wait_until
from tests.proxy.wire import Answer, Client, ask, asked, chunk, events, process_of

GENERATE = "/api/v1/generate"
LIMIT = 64 * 1024
MEGABYTE = 2**20


def head_of(server: GatewayServer, *fields: str, key: bool = True) -> bytes:
    lines = [f"POST {GENERATE} HTTP/1.1", "Host: localhost", *([f"X-API-Key: {server.key}"] if key else []), *fields]
    return "\r\n".join([*lines, "", ""]).encode()


def refusal(answer: Answer, status: int, kind: str) -> str:
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    assert answer.json()["error"] == kind
    message: str = answer.json()["message"]
    return message


def body_of(size: int) -> bytes:
    frame = json.dumps({"prompt": ""}).encode()
    return frame[:-2] + b"x" * (size - len(frame)) + frame[-2:]


# How large a body may be


def test_the_largest_body_passes_and_a_larger_one_does_not(stub: StubProcess, small_gateway: GatewayServer) -> None:
    assert ask(small_gateway, GENERATE, body_of(LIMIT)).status == 200
    message = refusal(ask(small_gateway, GENERATE, body_of(LIMIT + 1)), 413, "payload_too_large")
    assert "65536 bytes" in message
    assert "MAX_BODY_BYTES" in message
    assert len(asked(stub)) == 1


def test_a_body_that_declares_too_much_is_refused_before_it_is_read(
    stub: StubProcess, small_gateway: GatewayServer
) -> None:
    with Client(small_gateway) as client:
        client.send(head_of(small_gateway, "Content-Length: 99999999999999999999"[:-4]))
        refusal(client.answer(), 413, "payload_too_large")
    assert asked(stub) == []


@pytest.mark.parametrize("chunked", [False, True], ids=["whole", "chunked"])
def test_a_refusal_is_read_by_a_client_that_ends_its_connection(small_gateway: GatewayServer, *, chunked: bool) -> None:
    body = body_of(10 * MEGABYTE)
    size = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    for _ in range(5):
        with Client(small_gateway) as client:
            client.send(head_of(small_gateway, "Connection: close", size))
            client.send(chunk(body) + b"0\r\n\r\n" if chunked else body)
            refusal(client.answer(), 413, "payload_too_large")


def test_a_body_in_chunks_is_counted(stub: StubProcess, small_gateway: GatewayServer) -> None:
    with Client(small_gateway) as client:
        client.send(head_of(small_gateway, "Transfer-Encoding: chunked"))
        for _ in range(LIMIT // 1024):
            client.send(chunk(b" " * 1024))
        client.send(chunk(b" "))
        refusal(client.answer(), 413, "payload_too_large")
    assert asked(stub) == []


def test_a_body_in_chunks_is_a_body(small_gateway: GatewayServer) -> None:
    with Client(small_gateway) as client:
        client.send(head_of(small_gateway, "Transfer-Encoding: chunked"))
        for byte in body_of(100):
            client.send(chunk(bytes([byte])))
        client.send(b"0\r\nX-Trailer: ignored\r\n\r\n")
        assert client.answer().status == 200
        client.ask(GENERATE, {"prompt": "next"})
        assert client.answer().json()["response"] == "next"


def test_the_connection_goes_on_after_a_small_refused_body(small_gateway: GatewayServer) -> None:
    with Client(small_gateway) as client:
        client.ask(GENERATE, body_of(LIMIT + 1000))
        refusal(client.answer(), 413, "payload_too_large")
        client.ask(GENERATE, {"prompt": "next"})
        assert client.answer().json()["response"] == "next"


# Whose body is read


def test_the_key_is_checked_before_the_body(stub: StubProcess, small_gateway: GatewayServer) -> None:
    with Client(small_gateway) as client:
        client.send(head_of(small_gateway, "Content-Length: 1000", key=False))
        refusal(client.answer(), 401, "unauthorized")


def test_who_waits_for_an_invitation_gets_it_with_a_key_alone(small_gateway: GatewayServer) -> None:
    body = b'{"prompt": "invited"}'
    fields = ("Expect: 100-continue", f"Content-Length: {len(body)}")
    with Client(small_gateway) as client:
        client.send(head_of(small_gateway, *fields, key=False))
        refusal(client.answer(), 401, "unauthorized")
    with Client(small_gateway) as client:
        client.send(head_of(small_gateway, *fields))
        assert client.head().status == 100
        client.send(body)
        assert client.answer().json()["response"] == "invited"
    with Client(small_gateway) as client:
        client.send(head_of(small_gateway, "Expect: 100-continue", f"Content-Length: {LIMIT + 1}"))
        refusal(client.answer(), 413, "payload_too_large")


def test_a_body_in_an_unknown_coding_is_refused(stub: StubProcess, small_gateway: GatewayServer) -> None:
    for encoding in ("compress", "lz4", "identity, gzip", "gzip, zstd", "zstd,zstd", "gzip;q=1", "none", "aws-chunked"):
        answer = ask(small_gateway, GENERATE, b"\x1f\x8b", Content_Encoding=encoding)
        message = refusal(answer, 415, "unsupported_media_type")
        assert answer.headers["accept-encoding"] == "zstd, br, gzip, deflate"
        assert "zstd, br, gzip, deflate" in message
    assert asked(stub) == []
    assert ask(small_gateway, GENERATE, {"prompt": "a"}, Content_Encoding="identity").status == 200


# The sum of all bodies


def test_the_sum_of_bodies_in_memory_is_bounded_and_given_back(stub: StubProcess, small_gateway: GatewayServer) -> None:
    with Client(small_gateway) as first, Client(small_gateway) as second:
        first.send(head_of(small_gateway, f"Content-Length: {LIMIT}") + body_of(LIMIT)[:-1])
        second.send(head_of(small_gateway, f"Content-Length: {LIMIT}") + body_of(LIMIT)[:-1])
        answer = second.answer() if readable(second, first) else first.answer()
        assert "too much at once" in refusal(answer, 503, "unavailable")
        assert int(answer.headers["retry-after"]) > 0
    wait_until(lambda: ask(small_gateway, GENERATE, body_of(LIMIT)).status == 200, 5)
    with Client(small_gateway) as first, Client(small_gateway) as second:
        for client in (first, second):  # more than the half of the bound each, one after the other
            client.ask(GENERATE, body_of(LIMIT - 1))
            assert client.answer().status == 200


def readable(one: Client, other: Client) -> bool:
    """Waits for an answer to either; returns whether it is to the first."""
    found, _, _ = select.select([one.sock, other.sock], [], [], 5)
    assert found
    return found[0] is one.sock


# Slow senders


def test_a_client_that_pauses_within_its_body_is_cut(stub: StubProcess, small_gateway: GatewayServer) -> None:
    with Client(small_gateway) as client:
        client.send(head_of(small_gateway, "Content-Length: 1000") + b'{"prompt"')
        refusal(client.answer(), 408, "timeout")
    assert asked(stub) == []


def test_a_client_that_sends_slowly_but_steadily_is_heard(small_gateway: GatewayServer) -> None:
    body = b'{"prompt": "slowly"}'
    with Client(small_gateway) as client:
        client.send(head_of(small_gateway, f"Content-Length: {len(body)}"))
        for at in range(0, len(body), 5):  # longer than CLIENT_TIMEOUT in all
            time.sleep(0.4)
            client.send(body[at : at + 5])
        assert client.answer().json()["response"] == "slowly"


def test_a_head_that_does_not_end_is_cut(small_gateway: GatewayServer) -> None:
    with Client(small_gateway) as client:
        client.send(b"POST /api/v1/generate HTTP/1.1\r\nHost: loc")
        refusal(client.answer(), 408, "timeout")
        assert client.is_closed()


def test_a_head_that_drips_is_cut_all_the_same(small_gateway: GatewayServer) -> None:
    begun = time.monotonic()
    with Client(small_gateway) as client:
        client.send(b"GET / HTTP/1.1\r\n")
        drip(client, b"X-A: b\r\n")
        refusal(client.answer(), 408, "timeout")
    assert time.monotonic() - begun < 5


def test_the_second_head_of_a_connection_is_timed_too(small_gateway: GatewayServer) -> None:
    with Client(small_gateway) as client:
        client.ask(GENERATE, {"prompt": "a"})
        assert client.answer().status == 200
        client.send(b"GET / HT")
        refusal(client.answer(), 408, "timeout")
        assert client.is_closed()


def test_a_connection_that_says_nothing_is_closed_without_a_word(small_gateway: GatewayServer) -> None:
    with Client(small_gateway) as client:
        assert client.is_closed()


def drip(client: Client, data: bytes) -> None:
    """Sends the same again and again, slowly, until an answer is there."""
    client.sock.settimeout(0.1)
    for _ in range(50):
        client.send(data)
        try:
            client.file.peek(1)
        except TimeoutError:
            client.file = client.sock.makefile("rb")
        else:
            break
    client.sock.settimeout(5)


# Heads


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n" + b"X-A: %b\r\n" % (b"a" * 9000),
        b"GET / HTTP/1.1\r\n" + b"%b: a\r\n" % (b"a" * 9000),
        b"GET /%b HTTP/1.1\r\n" % (b"a" * 9000),
        b"GET /?%b HTTP/1.1\r\n" % (b"a" * 9000),
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % number for number in range(1000)),
        b"GET / HTTP/1.1\r\n" + b"a:\r\n" * 2000,
    ],
    ids=["a giant value", "a giant name", "a giant path", "a giant query", "many fields", "many empty fields"],
)
@pytest.mark.parametrize("pieces", [1, 10])
def test_a_head_over_the_limit_is_refused(small_gateway: GatewayServer, head: bytes, pieces: int) -> None:
    request = head + b"Host: localhost\r\n\r\n"
    with Client(small_gateway) as client:
        step = len(request) // pieces + 1
        for at in range(0, len(request), step):
            client.send(request[at : at + step])
        message = refusal(client.answer(), 431, "headers_too_large")
        assert "MAX_HEADER_BYTES" in message
        assert client.is_closed()


def test_what_follows_a_head_over_the_limit_is_not_served(stub: StubProcess, small_gateway: GatewayServer) -> None:
    giant = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: %b\r\n\r\n" % (b"a" * 9000)
    body = b'{"prompt": "smuggled"}'
    with Client(small_gateway) as client:
        client.send(giant + head_of(small_gateway, f"Content-Length: {len(body)}") + body)
        refusal(client.answer(), 431, "headers_too_large")
        assert client.is_closed()
    assert asked(stub) == []


def test_a_head_just_under_the_limit_passes(small_gateway: GatewayServer) -> None:
    assert ask(small_gateway, GENERATE, {"prompt": "a"}, X_A="a" * 7500).status == 200


def test_many_small_requests_at_once_are_no_large_head(small_gateway: GatewayServer) -> None:
    body = b'{"prompt": "a"}'
    one = head_of(small_gateway, f"Content-Length: {len(body)}") + body
    with Client(small_gateway) as client:
        client.send(one * 100 + one[:50])
        for _ in range(100):
            assert client.answer().status == 200
        client.send(one[50:])
        assert client.answer().status == 200


def test_a_large_body_in_the_same_piece_is_no_large_head(gateway: GatewayServer) -> None:
    body = body_of(200_000)
    with Client(gateway) as client:
        client.send(head_of(gateway, f"Content-Length: {len(body)}") + body + b"GET /api/v1/x HTTP/1.1\r\nHost:")
        assert client.answer().status == 200
        client.send(b" localhost\r\n\r\n")
        assert client.answer().status == 404


def test_garbage_during_an_answer_is_not_answered_within_it(stub: StubProcess, small_gateway: GatewayServer) -> None:
    with Client(small_gateway) as client:
        client.ask(GENERATE, {"prompt": "[[chunks=20 interval_ms=20]]", "stream": True})
        assert client.head().status == 200
        said = client.events(2)
        client.send(b"garbage\r\n\r\n")
        said += events(b"".join(client.chunks()))
        assert len(said) == 21
        assert b'"done":true' in said[-1]
        assert client.is_closed()
    stub.wait_for(lambda stub: not stub.under_way())


def test_an_idle_connection_is_not_kept_by_empty_lines(gateway: GatewayServer) -> None:
    with Client(gateway) as client:
        client.ask(GENERATE, {"prompt": "a"})
        assert client.answer().status == 200
        client.send(b"\r\n" * 10)
        client.ask(GENERATE, {"prompt": "b"})
        assert client.answer().json()["response"] == "b"


# Memory


def flood(server: GatewayServer, first: bytes, again: bytes, total: int) -> None:
    """Sends without a key until the server closes, or until so many bytes are sent."""
    with Client(server) as client:
        sent = len(first)
        try:
            client.send(first)
            while sent < total:
                client.send(again)
                sent += len(again)
        except (ConnectionResetError, BrokenPipeError):
            pass


FLOODS = {
    "bodies of 30 MB": (b"Content-Length: %d\r\n\r\n" % (30 * MEGABYTE), b"x" * MEGABYTE, 30, 10),
    "bodies of 30 MB in chunks": (b"Transfer-Encoding: chunked\r\n\r\n", chunk(b"x" * MEGABYTE), 30, 10),
    "100 MB of headers": (b"", b"X-Header: value\r\n" * 10_000, 100, 1),
    "one header of 100 MB": (b"X-Header: ", b"x" * MEGABYTE, 100, 1),
    "100 MB of trailers": (b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Header: value\r\n" * 10_000, 100, 1),
    "one trailer of 100 MB": (b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Header: ", b"x" * MEGABYTE, 100, 1),
    "a chunk extension of 100 MB": (b"Transfer-Encoding: chunked\r\n\r\n1;a=", b"x" * MEGABYTE, 100, 1),
}


@pytest.mark.parametrize("name", FLOODS)
def test_strangers_can_not_fill_the_memory(gateway: GatewayServer, name: str) -> None:
    first, again, megabytes, clients = FLOODS[name]
    first = b"POST /api/v1/generate HTTP/1.1\r\nHost: localhost\r\n" + first
    flood(gateway, first, again, MEGABYTE)  # whatever is made on the first occasion
    before = process_of(gateway).memory_info().rss
    highest = before
    threads = [
        threading.Thread(target=flood, args=(gateway, first, again, megabytes * MEGABYTE)) for _ in range(clients)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        highest = max(highest, process_of(gateway).memory_info().rss)
        time.sleep(0.005)
    assert highest - before < 5 * MEGABYTE
    assert ask(gateway, GENERATE, {"prompt": "still there?"}).json()["response"] == "still there?"
