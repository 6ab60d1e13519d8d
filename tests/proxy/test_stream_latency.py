"""Tokens are not held back: each event leaves when its line has come."""

from __future__ import annotations

import json
import statistics
import threading
import time
from typing import Any

import pytest

from tests.harness import GatewayServer
from tests.proxy.wire import END, STREAM_HEAD, Client, FakeUpstream, Peer, chunk

LINE = b'{"response":"%d","done":false}\n'
LAST = b'{"response":"","done":true}\n'


class Baton:
    """Lets the upstream send its next line only when the client has the one before."""

    def __init__(self) -> None:
        self.turns = threading.Semaphore(0)
        self.sent_at: list[float] = []

    def relay(self, peer: Peer) -> None:
        peer.send(STREAM_HEAD)
        for number in range(20):
            assert self.turns.acquire(timeout=5)
            self.send(peer, chunk(LINE % number))
        assert self.turns.acquire(timeout=5)
        self.send(peer, chunk(LAST))
        assert self.turns.acquire(timeout=5)
        peer.send(END)

    def send(self, peer: Peer, data: bytes) -> None:
        self.sent_at.append(time.monotonic())
        peer.send(data)


@pytest.mark.parametrize("path", ["/api/v1/generate", "/api/v1/chat"])
def test_each_event_arrives_before_the_next_line_is_sent(
    fake: FakeUpstream, faked_gateway: GatewayServer, path: str
) -> None:
    baton = Baton()
    fake.behave = baton.relay
    with Client(faked_gateway) as client:
        client.ask(path, {"prompt": "a", "messages": [{"role": "user", "content": "a"}], "stream": True})
        assert client.head().status == 200  # before the first line
        for number in range(20):
            baton.turns.release()
            assert client.chunk() == b"data: " + (LINE % number).strip() + b"\n\n"
        baton.turns.release()
        assert client.chunk() == b"data: " + LAST.strip() + b"\n\n"
        assert client.chunk() == b""  # the end does not wait for the upstream's
        baton.turns.release()


def test_a_frame_of_completions_arrives_when_its_last_byte_has_come(
    fake: FakeUpstream, faked_gateway: GatewayServer
) -> None:
    baton = threading.Semaphore(0)

    def relay(peer: Peer) -> None:
        peer.send(STREAM_HEAD)
        for number in range(5):
            peer.send(chunk(b'data: {"choices":[{"text":"%d"}]}' % number), chunk(b"\n"))
            peer.send(chunk(b"\n"))
            assert baton.acquire(timeout=5)
        peer.send(chunk(b"data: [DONE]\n\n"), END)

    fake.behave = relay
    with Client(faked_gateway) as client:
        client.ask("/api/v1/completions", {"prompt": "a", "stream": True})
        assert client.head().status == 200
        for number in range(5):
            assert client.events(1) == [b'data: {"choices":[{"text":"%d"}]}' % number]
            baton.release()
        assert client.events(1) == [b"data: [DONE]"]


@pytest.mark.long
def test_an_event_is_on_its_way_in_twenty_milliseconds(fake: FakeUpstream, faked_gateway: GatewayServer) -> None:
    sent_at: list[float] = []

    def every_tenth_of_a_second(peer: Peer) -> None:
        peer.send(STREAM_HEAD)
        for number in range(100):
            sent_at.append(time.monotonic())
            peer.send(chunk(LINE % number))
            time.sleep(0.1)
        peer.send(chunk(LAST), END)

    fake.behave = every_tenth_of_a_second
    delays: list[float] = []
    with Client(faked_gateway) as client:
        client.ask("/api/v1/generate", {"prompt": "a", "stream": True})
        assert client.head().status == 200
        for number in range(100):
            event: Any = json.loads(client.events(1)[0].removeprefix(b"data: "))
            delays.append(time.monotonic() - sent_at[number])
            assert event["response"] == str(number)
        assert client.events(1)
    assert statistics.median(delays) < 0.02, sorted(delays)
    assert sorted(delays)[-5] < 0.1, sorted(delays)  # the machine may stumble, the gateway may not
