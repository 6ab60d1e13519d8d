from __future__ import annotations

import json
import subprocess
import time

import pytest

from benchmarks.stub_client import StubProcess
from tests.benchmarks.raw import connect, exchange, read_until, request


def test_a_request_is_recorded_as_it_was_sent(stub: StubProcess) -> None:
    body = b'{"model":"m",  "prompt":"a"}'
    exchange(stub.url, "/api/generate?x=%41", body, headers="X-Odd: one\r\nx-odd: two\r\n")
    (seen,) = stub.requests("/api/generate")
    assert (seen.method, seen.target, seen.body) == ("POST", "/api/generate?x=%41", body)
    assert [pair for pair in seen.headers if pair[0].lower() == "x-odd"] == [("X-Odd", "one"), ("x-odd", "two")]
    assert seen.header("host") == "localhost"
    assert seen.json() == {"model": "m", "prompt": "a"}
    assert stub.calls() == {"POST /api/generate": 1}


def test_a_whole_answer_is_done_and_counts_its_chunks(stub: StubProcess) -> None:
    for _ in ("worked out", "kept ready"):
        exchange(stub.url, "/api/generate", {"model": "m", "prompt": "a b c"})
    first, second = stub.requests()
    assert (first.ended, first.chunks) == (second.ended, second.chunks) == ("done", 3)
    assert first.closed_at is not None


@pytest.mark.parametrize(
    ("knobs", "mark", "chunks"),
    [
        ("first_delay_ms=60000", b"", 0),
        ("hang=1", b"", 0),
        ("header_pause_ms=60000", b"\r\n\r\n", 0),
        ("hang_after=2", b" b", 2),
        ("chunks=1000 interval_ms=60000", b"a", 1),
    ],
)
def test_leaving_is_noticed_at_once_and_where(stub: StubProcess, knobs: str, mark: bytes, chunks: int) -> None:
    with connect(stub.url) as sock:
        sock.sendall(request("/api/generate", {"model": "m", "prompt": f"a b c [[{knobs}]]"}))
        stub.wait_for(lambda stub: stub.under_way())
        read_until(sock, mark)
        assert not stub.cancelled()
    left_at = time.monotonic()
    (seen,) = stub.wait_for(lambda stub: stub.cancelled())
    assert seen.chunks == chunks
    assert seen.closed_at is not None
    assert seen.closed_at == seen.ended_at
    assert abs(seen.closed_at - left_at) < 1


def test_an_answer_cut_by_the_stub_is_not_a_cancelled_one(stub: StubProcess) -> None:
    exchange(stub.url, "/api/generate", {"model": "m", "prompt": "a b c [[die_after=1]]"})
    (seen,) = stub.wait_for(lambda stub: [request for request in stub.requests() if request.ended])
    assert (seen.ended, seen.chunks) == ("cut", 1)


def test_connections_are_kept_alive_and_counted(stub: StubProcess) -> None:
    before = len(stub.connections())
    with connect(stub.url) as sock:
        for _ in range(3):
            sock.sendall(request("/api/generate", {"model": "m", "prompt": "a", "stream": False}))
            read_until(sock, b'"done":true')
        link = stub.connections()[-1]
        assert (link.requests, link.closed_at) == (3, None)
        assert stub.open_connections() >= 1
    stub.wait_for(lambda stub: stub.connections()[-1].closed_at is not None)
    assert len(stub.connections()) == before + 1


def test_pipelined_requests_are_answered_in_order(stub: StubProcess) -> None:
    with connect(stub.url) as sock:
        two = (request("/api/generate", {"model": name, "prompt": "a", "stream": False}) for name in ("one", "two"))
        sock.sendall(b"".join(two))
        answer = read_until(sock, b'"model":"two"')
    assert answer.index(b'"model":"one"') < answer.index(b'"model":"two"')


def test_only_the_last_requests_are_kept() -> None:
    with StubProcess("--record", "2") as small:
        for number in range(3):
            exchange(small.url, "/api/generate", {"model": "m", "prompt": str(number)})
        assert [json.loads(seen.body)["prompt"] for seen in small.requests()] == ["1", "2"]
        assert small.calls() == {"POST /api/generate": 3}


def test_the_stub_ends_with_its_parent() -> None:
    stub = StubProcess().start()
    assert stub.process
    assert stub.process.stdin
    stub.process.stdin.close()
    assert stub.process.wait(timeout=5) == 0
    stub.stop()


def test_what_is_not_http_gets_go_s_answer(stub: StubProcess) -> None:
    with connect(stub.url) as sock:
        sock.sendall(b"nonsense\r\n\r\n")
        assert read_until(sock, b"400 Bad Request").startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_wait_for_says_what_it_saw(stub: StubProcess) -> None:
    exchange(stub.url, "/api/version", method="GET")
    with pytest.raises(TimeoutError, match="/api/version"):
        stub.wait_for(lambda _: False, seconds=0.05)


def test_a_port_that_is_taken_is_an_error(stub: StubProcess, capfd: pytest.CaptureFixture[str]) -> None:
    port = stub.url.rpartition(":")[2]
    with pytest.raises((RuntimeError, subprocess.SubprocessError), match="did not start"):
        StubProcess("--port", port).start()
    assert "address already in use" in capfd.readouterr().err
