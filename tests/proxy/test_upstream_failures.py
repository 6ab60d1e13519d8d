"""However Ollama fails, the client hears of it: before the first byte as a status, after it as an error event."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from benchmarks.stub_client import StubProcess
from tests.harness import GatewayServer, wait_until
from tests.proxy.wire import END, STREAM_HEAD, Answer, Client, FakeUpstream, Peer, ask, asked, chunk, error_of, events

GENERATE = "/api/v1/generate"
LINE = b'{"model":"m","response":"a","done":false}\n'
LAST = b'{"model":"m","response":"","done":true,"eval_count":1}\n'


def refusal(answer: Answer, status: int, kind: str) -> str:
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"] == kind
    message: str = answer.json()["message"]
    assert "<" not in message
    return message


def whole(body: bytes, head: str = "HTTP/1.1 200 OK\r\nContent-Type: application/json") -> bytes:
    return f"{head}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


# Before the first byte


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    "fault",
    [
        "malformed=status",
        "malformed=header",
        "headers_kb=100",
        "first_delay_ms=1 die_after=0",
        "first_delay_ms=1 reset_after=0",
    ],
)
def test_an_answer_that_breaks_before_it_begins_is_a_502(gateway: GatewayServer, fault: str, *, stream: bool) -> None:
    answer = ask(gateway, GENERATE, {"prompt": f"a b c [[{fault}]]", "stream": stream})
    assert "try again" in refusal(answer, 502, "upstream_failed")


@pytest.mark.parametrize("fault", ["malformed=length", "die_after=1", "reset_after=1"])
def test_a_whole_answer_that_is_cut_off_is_a_502(gateway: GatewayServer, fault: str) -> None:
    refusal(ask(gateway, GENERATE, {"prompt": f"a b c d [[{fault}]]"}), 502, "upstream_failed")


def test_a_connection_that_closes_without_a_word_is_a_502_and_nothing_is_sent_twice(
    fake: FakeUpstream, faked_gateway: GatewayServer
) -> None:
    fake.behave = lambda _peer: None
    for stream in (False, True):
        refusal(ask(faked_gateway, GENERATE, {"prompt": "a", "stream": stream}), 502, "upstream_failed")
    assert len(fake.seen) == 2


def test_a_connection_that_was_closed_between_calls_harms_nobody(
    fake: FakeUpstream, faked_gateway: GatewayServer
) -> None:
    def answer_and_close(peer: Peer) -> None:
        peer.send(whole(LAST))

    fake.behave = answer_and_close  # without a word of it, as a restarted Ollama does
    for _ in range(5):
        assert ask(faked_gateway, GENERATE, {"prompt": "a"}).status == 200
        wait_until(lambda: fake.open == 0, 5)
    assert len(fake.seen) == 5


def test_a_name_that_does_not_resolve_is_a_502_that_names_it(make_gateway: Callable[..., GatewayServer]) -> None:
    server = make_gateway(ollama_url="http://ollama.invalid:11434")
    message = refusal(ask(server, GENERATE, {"prompt": "a"}), 502, "upstream_unreachable")
    assert "http://ollama.invalid:11434" in message


@pytest.fixture
def full_listener() -> Iterator[str]:
    """An address where connections are neither refused nor accepted: its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.settimeout(0)
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        for filler in fillers:
            filler.close()


def test_an_upstream_that_does_not_accept_is_a_504(
    full_listener: str, make_gateway: Callable[..., GatewayServer]
) -> None:
    server = make_gateway(ollama_url=full_listener, UPSTREAM_CONNECT_TIMEOUT=0.3)
    message = refusal(ask(server, GENERATE, {"prompt": "a"}), 504, "upstream_timeout")
    assert "UPSTREAM_CONNECT_TIMEOUT" in message


def test_silence_after_the_head_is_a_504_for_a_whole_answer(fake: FakeUpstream, faked_gateway: GatewayServer) -> None:
    def silent(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\n", LINE)
        assert peer.is_closed()

    fake.behave = silent
    message = refusal(ask(faked_gateway, GENERATE, {"prompt": "a"}), 504, "upstream_timeout")
    assert "UPSTREAM_IDLE_TIMEOUT" in message
    wait_until(lambda: fake.open == 0, 5)


# What Ollama itself refuses


@pytest.mark.parametrize(
    ("knobs", "status", "kind", "words"),
    [
        ("status=500", 500, "internal_error", "model runner has unexpectedly stopped"),
        ("status=500 plain=1", 500, "internal_error", "model runner has unexpectedly stopped"),
        ("status=500 empty=1", 500, "internal_error", "status 500"),
        ("status=503", 503, "unavailable", "server busy"),
        ("status=503 plain=1", 503, "unavailable", "server busy"),
        ("status=400", 400, "bad_request", "invalid request"),
        ("status=404", 404, "model_not_found", "'missing' not found"),
        ("status=401", 502, "upstream_refused", "OLLAMA_API_KEY"),
        ("status=403", 502, "upstream_refused", "remote model is unavailable"),
        ("status=403 empty=1", 502, "upstream_refused", "OLLAMA_HOST"),
        ("status=429", 429, "rate_limited", "too many requests"),
        ("context=1", 400, "bad_request", "longer than the context window"),
        ("context=2", 400, "bad_request", "exceeds the available context size"),
    ],
)
@pytest.mark.parametrize("path", [GENERATE, "/api/v1/chat", "/api/v1/completions"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_refusal_of_the_upstream_is_told_in_our_words(  # noqa: PLR0913 -- one a column
    gateway: GatewayServer, path: str, knobs: str, status: int, kind: str, words: str, *, stream: bool
) -> None:
    text = f"a [[{knobs}]]"
    said = {"messages": [{"role": "user", "content": text}]} if path.endswith("chat") else {"prompt": text}
    answer = ask(gateway, path, {**said, "stream": stream})
    assert words in refusal(answer, status, kind)


def test_a_redirect_is_not_followed(fake: FakeUpstream, faked_gateway: GatewayServer) -> None:
    fake.behave = lambda peer: peer.send(
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /api/chat\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    for stream in (False, True):
        answer = ask(faked_gateway, GENERATE, {"prompt": "a", "stream": stream})
        assert "OLLAMA_URL" in refusal(answer, 502, "upstream_refused")
        assert "location" not in answer.headers
    assert [peer.target for peer in fake.seen] == ["/api/generate"] * 2


@pytest.mark.parametrize("status", ["500 Oh", "404 Not Found", "502 Bad Gateway"])
def test_a_page_of_another_server_is_not_passed_on(
    fake: FakeUpstream, faked_gateway: GatewayServer, status: str
) -> None:
    page = b"<!DOCTYPE html><html><body>nginx</body></html>"
    fake.behave = lambda peer: peer.send(whole(page, f"HTTP/1.1 {status}\r\nContent-Type: text/html"))
    answer = ask(faked_gateway, GENERATE, {"prompt": "a"})
    assert b"nginx" not in answer.body
    assert answer.json()["message"]


def test_an_address_without_an_ollama_is_our_fault_not_the_clients(
    fake: FakeUpstream, faked_gateway: GatewayServer
) -> None:
    fake.behave = lambda peer: peer.send(whole(b"404 page not found", "HTTP/1.1 404 Not Found"))
    assert "OLLAMA_URL" in refusal(ask(faked_gateway, GENERATE, {"prompt": "a"}), 502, "upstream_refused")


@pytest.mark.parametrize("status", ["600 Strange", "999 Stranger"])
def test_a_status_that_does_not_exist_is_a_502(fake: FakeUpstream, faked_gateway: GatewayServer, status: str) -> None:
    fake.behave = lambda peer: peer.send(whole(b'{"error":"odd"}', f"HTTP/1.1 {status}"))
    answer = ask(faked_gateway, GENERATE, {"prompt": "a"})
    assert answer.status == 502
    assert answer.json()["message"] == "odd"


def test_cookies_of_the_upstream_go_nowhere(stub: StubProcess, gateway: GatewayServer) -> None:
    for stream in (False, True):
        answer = ask(gateway, GENERATE, {"prompt": "a [[cookie=1]]", "stream": stream})
        assert answer.status == 200
        assert "set-cookie" not in answer.headers
    assert ask(gateway, GENERATE, {"prompt": "b"}).status == 200
    assert [request.header("cookie") for request in asked(stub)] == [None] * 3


def test_headers_of_the_upstream_stay_there(fake: FakeUpstream, faked_gateway: GatewayServer) -> None:
    head = "HTTP/1.1 200 OK\r\nServer: secret\r\nX-Powered-By: secret\r\nAccess-Control-Allow-Origin: *\r\nVia: secret"
    fake.behave = lambda peer: peer.send(whole(LAST, head))
    answer = ask(faked_gateway, GENERATE, {"prompt": "a"})
    assert answer.status == 200
    assert "secret" not in str(answer.headers)
    assert "access-control-allow-origin" not in answer.headers


# In mid-stream


def streamed(server: GatewayServer, path: str = GENERATE, prompt: str = "a") -> list[bytes]:
    answer = ask(server, path, {"prompt": prompt, "stream": True})
    assert answer.status == 200
    return events(answer.body)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("error_after=2", "upstream_failed"),
        ("eof_after=2", "upstream_failed"),
        ("die_after=2", "upstream_failed"),
        ("reset_after=2", "upstream_failed"),
        ("hang_after=2", "upstream_timeout"),
    ],
)
def test_a_stream_that_fails_ends_with_one_error_event(small_gateway: GatewayServer, fault: str, kind: str) -> None:
    prompt = f"[[chunks=9 interval_ms=1 {fault}]]"
    *passed, last = streamed(small_gateway, prompt=prompt)
    assert [json.loads(event.removeprefix(b"data: "))["response"] for event in passed] == [" 0", " 1"]
    error = error_of(last)
    assert error["error"] == kind
    assert len(error["message"]) > 10


@pytest.mark.parametrize("line", [b'{"error":"gone"}\n', b""], ids=["an error", "nothing"])
def test_a_stream_that_fails_before_its_first_line_is_one_error_event(
    fake: FakeUpstream, faked_gateway: GatewayServer, line: bytes
) -> None:
    fake.behave = lambda peer: peer.send(STREAM_HEAD, chunk(line) if line else b"", END)
    (event,) = streamed(faked_gateway)
    assert error_of(event)["error"] == "upstream_failed"


def test_the_upstreams_own_words_are_in_the_event(gateway: GatewayServer) -> None:
    last = streamed(gateway, prompt="[[chunks=9 error_after=2]]")[-1]
    assert "error was encountered while running the model" in error_of(last)["message"]


def test_garbage_within_the_framing_ends_the_stream_with_an_error(gateway: GatewayServer) -> None:
    *passed, last = streamed(gateway, prompt="[[chunks=9 interval_ms=20 malformed=chunk]]")
    assert len(passed) == 1
    assert error_of(last)["error"] == "upstream_failed"


def test_a_line_beyond_eight_megabytes_ends_the_stream_with_an_error(
    fake: FakeUpstream, faked_gateway: GatewayServer
) -> None:
    def endless_line(peer: Peer) -> None:
        peer.send(STREAM_HEAD, chunk(LINE))
        for _ in range(64):
            peer.send(chunk(b"x" * 2**18))
        assert peer.is_closed()

    fake.behave = endless_line
    *passed, last = streamed(faked_gateway)
    assert passed == [b"data: " + LINE.strip()]
    assert "too long" in error_of(last)["message"]
    wait_until(lambda: fake.open == 0, 5)


def test_nothing_follows_the_terminal_line(fake: FakeUpstream, faked_gateway: GatewayServer) -> None:
    fake.behave = lambda peer: (peer.send(STREAM_HEAD, chunk(LINE + LAST + LINE), chunk(LINE), END), True)[1]
    assert streamed(faked_gateway) == [b"data: " + LINE.strip(), b"data: " + LAST.strip()]


def test_an_upstream_that_goes_on_after_its_terminal_line_is_left(
    fake: FakeUpstream, faked_gateway: GatewayServer
) -> None:
    def goes_on(peer: Peer) -> None:
        peer.send(STREAM_HEAD, chunk(LAST))
        while not peer.is_closed():
            pass

    fake.behave = goes_on
    for _ in range(5):
        assert streamed(faked_gateway) == [b"data: " + LAST.strip()]
    wait_until(lambda: fake.open == 0, 5)


def test_an_end_that_lags_behind_its_mark_keeps_no_client_waiting(stub: StubProcess, gateway: GatewayServer) -> None:
    with Client(gateway) as client:
        for _ in range(3):  # on one connection: each answer must have ended before the next can begin
            client.ask(GENERATE, {"prompt": "a b [[linger_ms=300]]", "stream": True})
            assert events(client.answer().body)[-1].endswith(b'"eval_duration":5000000}')
        assert len(stub.under_way()) > 0
    stub.wait_for(lambda stub: not stub.under_way())
    assert [request.ended for request in asked(stub)] == ["done"] * 3


def test_a_last_line_without_a_newline_counts(fake: FakeUpstream, faked_gateway: GatewayServer) -> None:
    fake.behave = lambda peer: peer.send(STREAM_HEAD, chunk(LINE), chunk(LAST.strip()), END)
    assert streamed(faked_gateway) == [b"data: " + LINE.strip(), b"data: " + LAST.strip()]


def test_half_a_last_line_does_not(fake: FakeUpstream, faked_gateway: GatewayServer) -> None:
    fake.behave = lambda peer: peer.send(STREAM_HEAD, chunk(LINE), chunk(LAST[:20]), END)
    *_passed, last = streamed(faked_gateway)
    assert error_of(last)["error"] == "upstream_failed"


def test_an_answer_in_one_object_to_a_streamed_request_is_one_event(
    fake: FakeUpstream, faked_gateway: GatewayServer
) -> None:
    fake.behave = lambda peer: peer.send(whole(LAST.strip()))
    assert streamed(faked_gateway) == [b"data: " + LAST.strip()]


def test_an_answer_that_ends_with_its_connection_is_whole_when_it_says_so(
    fake: FakeUpstream, faked_gateway: GatewayServer
) -> None:
    fake.behave = lambda peer: peer.send(b"HTTP/1.0 200 OK\r\n\r\n", LINE, LAST)
    assert streamed(faked_gateway)[-1] == b"data: " + LAST.strip()
    fake.behave = lambda peer: peer.send(b"HTTP/1.0 200 OK\r\n\r\n", LINE)
    assert error_of(streamed(faked_gateway)[-1])["error"] == "upstream_failed"


@pytest.mark.parametrize("body", [b'{"model":"m","response":"cut he', b"<html>ok</html>", b"Ollama is running"])
def test_a_whole_answer_that_is_no_object_is_a_502(
    fake: FakeUpstream, faked_gateway: GatewayServer, body: bytes
) -> None:
    fake.behave = lambda peer: peer.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)
    assert ask(faked_gateway, "/api/v1/generate", {"prompt": "a"}).status == 502


def test_windows_line_ends_make_no_broken_events(fake: FakeUpstream, faked_gateway: GatewayServer) -> None:
    def crlf(line: bytes) -> bytes:
        return chunk(line.replace(b"\n", b"\r\n"))

    fake.behave = lambda peer: peer.send(STREAM_HEAD, crlf(LINE), crlf(LINE + LAST), END)
    assert streamed(faked_gateway) == [b"data: " + line.strip() for line in (LINE, LINE, LAST)]


def test_a_slow_reader_is_not_taken_for_a_silent_upstream(fake: FakeUpstream, faked_gateway: GatewayServer) -> None:
    wide = b'{"response":"%s","done":false}\n' % (b"x" * 100_000)

    def flood(peer: Peer) -> None:
        peer.send(STREAM_HEAD)
        for _ in range(300):
            peer.send(chunk(wide))
        peer.send(chunk(LAST), END)

    fake.behave = flood
    with Client(faked_gateway, buffer=32 * 1024) as client:
        client.ask(GENERATE, {"prompt": "a", "stream": True})
        assert client.head().status == 200
        client.chunk()
        time.sleep(1.2)  # more than twice UPSTREAM_IDLE_TIMEOUT
        body = b"".join(client.chunks())
    assert events(body)[-1] == b"data: " + LAST.strip()


def test_the_next_call_is_served_after_each_failure(gateway: GatewayServer) -> None:
    for fault in ("malformed=status", "die_after=1", "reset_after=1", "eof_after=1", "error_after=1", "status=500"):
        ask(gateway, GENERATE, {"prompt": f"a b c [[{fault}]]", "stream": True})
        assert ask(gateway, GENERATE, {"prompt": "well?"}).json()["response"] == "well?"
