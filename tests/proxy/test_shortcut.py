"""Chunks about which nothing has to be decided pass from socket to socket; all that is promised of a stream holds."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from benchmarks.stub_client import StubProcess
from proxy.relay import Relay
from tests.harness import GatewayServer, wait_until
from tests.proxy.wire import END, STREAM_HEAD, Client, FakeUpstream, Peer, chunk, error_of, events

GENERATE = "/api/v1/generate"
LINE = b'{"response":"%d","done":false}\n'
LAST = b'{"response":"","done":true,"prompt_eval_count":1,"eval_count":%d}\n'
NONSENSE = b"zz\r\n"
ASKED = {"prompt": "a", "stream": True}


def event(line: bytes) -> bytes:
    """What a client gets of a line, without the empty line."""
    return b"data: " + line.strip()


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/api/v1/generate", "/api/generate", "/v1/chat/completions", "/api/v1/completions"])
async def test_most_chunks_do_not_wake_their_call(
    port: int, inside_key: str, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    woken = 0
    following = Relay.__anext__

    async def counted(relay: Relay) -> bytes:
        nonlocal woken
        frames = await following(relay)
        woken += 1
        return frames

    monkeypatch.setattr(Relay, "__anext__", counted)
    prompt = "[[chunks=60 interval_ms=4]]"
    message = b'[{"role":"user","content":"%b"}]' % prompt.encode()
    body = b'{"model":"mistral","stream":true,"prompt":"%b","messages":%b}' % (prompt.encode(), message)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"Host: 127.0.0.1\r\nConnection: close\r\nX-API-Key: {inside_key}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(f"POST {path} HTTP/1.1\r\n{head}".encode() + body)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.count(b'"done":false') + answer.count(b'"content":"') + answer.count(b'"text":"') >= 60
    assert answer.endswith(b"\r\n0\r\n\r\n")
    assert 1 <= woken < 20


def test_ollama_may_take_its_time_between_chunks_but_not_for_ever(
    fake: FakeUpstream, faked_gateway: GatewayServer
) -> None:
    quiet = threading.Event()

    def slower_and_slower(peer: Peer) -> None:
        peer.send(STREAM_HEAD)
        for number in range(5):
            peer.send(chunk(LINE % number))
            time.sleep(0.25)  # half of UPSTREAM_IDLE_TIMEOUT, more than twice of it in all
        assert peer.is_closed()
        quiet.set()

    fake.behave = slower_and_slower
    with Client(faked_gateway) as client:
        client.ask(GENERATE, ASKED)
        assert client.head().status == 200
        *passed, last = events(b"".join(client.chunks()))
    assert passed == [event(LINE % number) for number in range(5)]
    assert "UPSTREAM_IDLE_TIMEOUT" in error_of(last)["message"]
    assert quiet.wait(5)


@pytest.mark.parametrize("cut", [b"", b'3\r\n{"r', NONSENSE], ids=["between chunks", "in a chunk", "with nonsense"])
def test_an_answer_that_breaks_off_ends_in_an_error(
    fake: FakeUpstream, faked_gateway: GatewayServer, cut: bytes
) -> None:
    def break_off(peer: Peer) -> None:
        peer.send(STREAM_HEAD)
        for number in range(3):
            peer.send(chunk(LINE % number))
            time.sleep(0.02)
        peer.send(chunk(LINE % 3), cut)
        assert cut != NONSENSE or peer.is_closed()

    fake.behave = break_off
    with Client(faked_gateway) as client:
        client.ask(GENERATE, ASKED, X_Request_ID=f"broke-off-{len(cut)}")
        assert client.head().status == 200
        body = b"".join(client.chunks())
    *passed, last = events(body)
    assert passed == [event(LINE % number) for number in range(4)]
    assert error_of(last)["error"] == "upstream_failed"
    wait_until(lambda: f"request_id=broke-off-{len(cut)} " in faked_gateway.log(), 5)


def test_frames_cut_anywhere_keep_their_order(fake: FakeUpstream, faked_gateway: GatewayServer) -> None:
    lines = [LINE % number for number in range(40)]
    data = b"".join(lines)

    def in_pieces(peer: Peer) -> None:
        peer.send(STREAM_HEAD)
        rest = data
        while rest:
            size = 1 + len(rest) * 7 % 61  # now within a line, now at its end, now across two
            peer.send(chunk(rest[:size]))
            rest = rest[size:]
            time.sleep(0.002)
        peer.send(chunk(LAST % 40), END)

    fake.behave = in_pieces
    with Client(faked_gateway) as client:
        client.ask(GENERATE, ASKED)
        assert client.head().status == 200
        body = b"".join(client.chunks())
    assert events(body) == [event(line) for line in (*lines, LAST % 40)]


def test_lines_without_a_word_are_no_end(fake: FakeUpstream, faked_gateway: GatewayServer) -> None:
    def with_empty_lines(peer: Peer) -> None:
        peer.send(STREAM_HEAD)
        for data in (LINE % 0, b"\n", LINE % 1, b"\n\n", LINE % 2, LAST % 3):
            peer.send(chunk(data))
            time.sleep(0.02)
        peer.send(END)

    fake.behave = with_empty_lines
    with Client(faked_gateway) as client:
        client.ask(GENERATE, ASKED)
        assert client.head().status == 200
        body = b"".join(client.chunks())
    assert events(body) == [event(line) for line in (LINE % 0, LINE % 1, LINE % 2, LAST % 3)]


@pytest.mark.parametrize("field", ["", "Connection: keep-alive\r\n"], ids=["plain", "that would go on"])
def test_a_client_of_http_1_0_gets_no_chunks(stub: StubProcess, gateway: GatewayServer, field: str) -> None:
    with Client(gateway) as client:
        body = b'{"prompt":"[[chunks=20 interval_ms=2]]","stream":true}'
        head = f"X-API-Key: {gateway.key}\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n{field}\r\n"
        client.send(f"POST {GENERATE} HTTP/1.0\r\n{head}".encode() + body)
        headers = client.head().headers
        assert "transfer-encoding" not in headers
        assert headers["connection"] == "close"
        answer = client.file.read()
    assert len(events(answer)) == 21


@pytest.mark.parametrize("path", ["/", "/docs", "/admin/login/", "/api/info", "/static/admin/css/base.css"])
def test_nor_does_it_for_a_page(gateway: GatewayServer, path: str) -> None:
    with Client(gateway) as client:
        client.send(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
        head = client.head()
        assert head.status == 200
        assert "transfer-encoding" not in head.headers
        size = int(head.headers["content-length"])
        assert len(client.file.read()) == size


def test_a_slow_client_of_a_stream_holds_ollama_up(fake: FakeUpstream, faked_gateway: GatewayServer) -> None:
    wide = b'{"response":"%s","done":false}\n' % (b"x" * 50_000)
    sent = 0

    def flood(peer: Peer) -> None:
        nonlocal sent
        peer.send(STREAM_HEAD)
        for _ in range(2000):
            peer.send(chunk(wide))
            sent += len(wide)
        peer.send(chunk(LAST % 2000), END)

    fake.behave = flood
    with Client(faked_gateway, buffer=16 * 1024) as client:
        client.ask(GENERATE, ASKED)
        assert client.head().status == 200
        first = client.chunk()
        at_rest = -1
        while at_rest != sent:
            at_rest = sent
            time.sleep(0.2)
        assert sent < 20 * 2**20  # what the sockets of a machine hold, and little more
        read = first + b"".join(client.chunks())
    assert len(events(read)) == 2001


def test_a_client_that_leaves_stops_ollama(stub: StubProcess, gateway: GatewayServer) -> None:
    stub.reset()
    with Client(gateway) as client:
        client.ask(GENERATE, {"prompt": "[[endless=1 interval_ms=5]]", "stream": True}, X_Request_ID="left-shortly")
        assert client.head().status == 200
        client.events(10)
        client.sock.shutdown(socket.SHUT_RDWR)
    stub.wait_for(lambda stub: not stub.under_way())
    wait_until(lambda: "request_id=left-shortly " in gateway.log(), 5)
    (line,) = [line for line in gateway.log().splitlines() if "request_id=left-shortly " in line]
    assert "ended=left" in line
