"""How an answer of Ollama's is framed: what is read, what is refused, and what has no content."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from random import Random

import pytest

from tests.dialects.front import BODIES, error_of
from tests.harness import GatewayServer, wait_until
from tests.proxy.wire import END, Client, FakeUpstream, Peer, ask, chunk

GENERATE = "/api/v1/generate"
LAST = b'{"model":"m","response":"","done":true,"eval_count":1}\n'
PATHS = [GENERATE, "/api/chat", "/v1/chat/completions", "/v1/responses", "/v1/messages"]
CODINGS = [
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: gzip",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip",
    b"Transfer-Encoding: chunked\r\nContent-Encoding: gzip",
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", PATHS)
def test_an_answer_in_another_coding_is_an_error_in_the_callers_dialect(
    fake: FakeUpstream, faked_gateway: GatewayServer, path: str, *, stream: bool
) -> None:
    for coding in CODINGS:
        for end in (END, b""):
            fake.behave = lambda peer, head=coding, end=end: peer.send(  # type: ignore[misc]
                b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n", chunk(LAST), end
            )
            answer = ask(faked_gateway, path, {**BODIES[path], "stream": stream})
            assert answer.status == 502, (coding, answer)
            assert "compressed or coded" in error_of(path, answer)[1]
            assert b'"done"' not in answer.body


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nContent-Length: 5",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Content-Length: 5, 5",
        b"Content-Length: -5",
    ],
    ids=bytes.decode,
)
def test_an_answer_whose_end_is_in_doubt_is_an_error(
    fake: FakeUpstream, faked_gateway: GatewayServer, head: bytes
) -> None:
    fake.behave = lambda peer: peer.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n", chunk(LAST), END)
    assert ask(faked_gateway, GENERATE, {"prompt": "a"}).status == 502


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("status", [b"204 No Content", b"205 Reset Content"])
@pytest.mark.parametrize("path", PATHS)
def test_an_answer_without_content_stays_one(
    fake: FakeUpstream, faked_gateway: GatewayServer, path: str, status: bytes, *, stream: bool
) -> None:
    length = b"\r\nContent-Length: 0" if status.startswith(b"205") else b""
    fake.behave = lambda peer: (peer.send(b"HTTP/1.1 " + status + length + b"\r\n\r\n"), True)[1]
    with Client(faked_gateway) as client:
        for _ in range(2):  # on one connection: the end of the first is where it should be
            client.ask(path, {**BODIES[path], "stream": stream})
            head = client.head()
            assert head.status == int(status[:3])
            assert "content-type" not in head.headers
            assert "transfer-encoding" not in head.headers
            assert head.headers.get("content-length") == (None if status.startswith(b"204") else "0")
        client.ask("/health/live", method="GET")
        assert client.answer().status == 200


def test_what_has_no_content_costs_no_output(fake: FakeUpstream, make_gateway: Callable[..., GatewayServer]) -> None:
    server = make_gateway(ollama_url=fake.url, APP_ENV="production", TLS="off")

    def late(peer: Peer) -> bool:
        time.sleep(0.2)
        peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        return True

    fake.behave = late
    for stream in (False, True):
        wanted = ask(server, "/api/chat", {**BODIES["/api/chat"], "stream": stream}).headers
        wait_until(lambda wanted=wanted: wanted["x-request-id"] in server.log(), 5)  # type: ignore[misc]
        (line,) = (line for line in server.log().splitlines() if wanted["x-request-id"] in line)
        assert json.loads(line)["completion_tokens"] == 0
        assert json.loads(line)["ended"] == "done"


def test_a_304_is_an_error_without_a_body_to_wait_for(fake: FakeUpstream, faked_gateway: GatewayServer) -> None:
    fake.behave = lambda peer: (peer.send(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 50\r\n\r\n"), True)[1]
    assert ask(faked_gateway, GENERATE, {"prompt": "a"}).status == 502


@pytest.mark.parametrize("status", [b"201 Created", b"203 Non-Authoritative Information"])
def test_another_success_keeps_its_status(fake: FakeUpstream, faked_gateway: GatewayServer, status: bytes) -> None:
    fake.behave = lambda peer: (
        peer.send(b"HTTP/1.1 " + status + b"\r\nContent-Length: %d\r\n\r\n" % len(LAST), LAST),
        True,
    )[1]
    for stream in (False, True):
        answer = ask(faked_gateway, GENERATE, {"prompt": "a", "stream": stream})
        assert answer.status == int(status[:3])
        assert b'"done":true' in answer.body


@pytest.mark.parametrize("interim", [b"100 Continue", b"102 Processing", b"103 Early Hints", b"199 Odd"])
def test_an_interim_answer_is_waited_past(fake: FakeUpstream, faked_gateway: GatewayServer, interim: bytes) -> None:
    fake.behave = lambda peer: (
        peer.send(b"HTTP/1.1 " + interim + b"\r\nLink: x\r\n\r\n"),
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LAST), LAST),
        True,
    )[-1]
    assert ask(faked_gateway, GENERATE, {"prompt": "a"}).status == 200


# A second answer to one request


def answering(seconds: Callable[[], float], text: bytes = b"STOLEN") -> Callable[[Peer], object]:
    """An upstream that answers each request with its prompt, and then once more, a moment later."""

    def behave(peer: Peer) -> bool:
        said = json.dumps({"model": "m", "response": json.loads(peer.body)["prompt"], "done": True}).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
        peer.send(head % len(said), said)
        time.sleep(seconds())
        again = said.replace(b'"response": "', b'"response": "' + text)
        peer.send(head % len(again), again)
        return True

    return behave


def test_an_unasked_answer_goes_to_nobody_once_one_was_seen(
    fake: FakeUpstream, make_gateway: Callable[..., GatewayServer]
) -> None:
    """As `tests/proxy/test_connection.py`, through the front door: two thousand calls, each with its own prompt."""
    server = make_gateway(ollama_url=fake.url)
    random = Random(13)  # noqa: S311 -- the same delays each time
    fake.behave = answering(lambda: random.uniform(0, 0.003))
    wrong: list[bytes] = []

    def caller(number: int) -> None:
        with Client(server) as client:
            for turn in range(250):
                client.ask(GENERATE, {"prompt": f"{number}-{turn}"})
                answer = client.answer()
                if answer.status != 200 or answer.json()["response"] != f"{number}-{turn}":
                    wrong.append(answer.body)

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) <= len(threads)  # one each at most, before the first was seen
    assert server.log().count("sent an answer without a request") == 1
    assert "UPSTREAM_KEEPALIVE" in server.log()


def test_keep_alive_can_be_switched_off(fake: FakeUpstream, make_gateway: Callable[..., GatewayServer]) -> None:
    said = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(LAST), LAST)
    fake.behave = lambda peer: (peer.send(said), True)[1]
    server = make_gateway(ollama_url=fake.url, UPSTREAM_KEEPALIVE="off")
    for _ in range(4):
        assert ask(server, GENERATE, {"prompt": "a"}).status == 200
    assert len({id(peer) for peer in fake.seen}) == 4
    assert all(peer.headers["connection"] == "close" for peer in fake.seen)


def test_connections_are_kept_otherwise(fake: FakeUpstream, make_gateway: Callable[..., GatewayServer]) -> None:
    said = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(LAST), LAST)
    fake.behave = lambda peer: (peer.send(said), True)[1]
    server = make_gateway(ollama_url=fake.url)
    for _ in range(100):
        assert ask(server, GENERATE, {"prompt": "a"}).status == 200
    assert len({id(peer) for peer in fake.seen}) <= 3
