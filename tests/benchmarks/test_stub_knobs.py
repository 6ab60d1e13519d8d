from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.benchmarks.raw import chunks, connect, exchange, read_until, request, split

if TYPE_CHECKING:
    from benchmarks.stub_client import StubProcess


def generate(stub: StubProcess, knobs: str, **more: Any) -> bytes:
    return exchange(stub.url, "/api/generate", {"model": "m", "prompt": f"a b c d [[{knobs}]]", **more})


def wire_chunks(answer: bytes) -> list[bytes]:
    return chunks(answer.partition(b"\r\n\r\n")[2])


def test_chunks_repeat_the_words_as_often_as_asked(stub: StubProcess) -> None:
    lines = split(generate(stub, "chunks=7"))[1].splitlines()
    assert [json.loads(line)["response"] for line in lines] == ["a", " b", " c", " d", " a", " b", " c", ""]
    assert json.loads(lines[-1])["eval_count"] == 7


def test_a_cap_holds_for_asked_chunks_too(stub: StubProcess) -> None:
    last = split(generate(stub, "chunks=7", options={"num_predict": 3}))[1].splitlines()[-1]
    assert (json.loads(last)["eval_count"], json.loads(last)["done_reason"]) == (3, "length")


def test_knobs_in_the_model_s_name_work_like_those_in_the_text(stub: StubProcess) -> None:
    answer = exchange(stub.url, "/api/generate", {"model": "knobs.chunks-2.size-9", "prompt": "a", "stream": False})
    assert json.loads(split(answer)[1])["response"] == "axxxxxxxx axxxxxxx"


@pytest.mark.parametrize("knobs", ["bogus=1", "chunks=many"])
def test_a_misspelt_knob_is_said_so(stub: StubProcess, knobs: str) -> None:
    assert generate(stub, knobs).startswith(b"HTTP/1.1 501 ")


@pytest.mark.parametrize("path", ["/api/generate", "/api/embed", "/v1/embeddings"])
def test_a_status_comes_with_ollama_s_text(stub: StubProcess, path: str) -> None:
    text = "a [[status=503]]"
    head, body = split(exchange(stub.url, path, {"model": "stub-embed-think", "prompt": text, "input": text}))
    if path == "/api/generate":
        assert b"does not support generate" in body
        head, body = split(exchange(stub.url, path, {"model": "m", "prompt": text}))
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"server busy, please try again.  maximum pending requests exceeded" in body


def test_errors_can_be_plain_text_empty_or_the_runner_s(stub: StubProcess) -> None:
    head, body = split(generate(stub, "status=500 plain=1"))
    assert b"Content-Type: text/plain" in head
    assert body.startswith(b"model runner has unexpectedly stopped")
    assert split(generate(stub, "status=502 empty=1"))[1] == b""
    head, body = split(generate(stub, "context=2"))
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(json.loads(body)["error"])["error"]["type"] == "exceed_context_size_error"
    assert b"Location: /api/ps" in split(generate(stub, "status=307"))[0]


def test_an_error_on_the_way_is_a_line_natively(stub: StubProcess) -> None:
    head, body = split(generate(stub, "error_after=2"))
    assert head.startswith(b"HTTP/1.1 200 ")
    *lines, last = body.splitlines()
    assert len(lines) == 2
    assert list(json.loads(last)) == ["error"]
    assert generate(stub, "error_after=0").startswith(b"HTTP/1.1 500 ")
    assert generate(stub, "error_after=2", stream=False).startswith(b"HTTP/1.1 500 ")


def test_an_error_on_the_way_is_lost_under_v1(stub: StubProcess) -> None:
    def body(path: str, **more: Any) -> bytes:
        text = "hi you [[error_after=1]]"
        said = {"messages": [{"role": "user", "content": text}], "prompt": text, "input": text}
        return split(exchange(stub.url, path, {"model": "m", "stream": True, "max_tokens": 5, **said, **more}))[1]

    bogus = json.loads(body("/v1/chat/completions").rstrip().rpartition(b"data: ")[2])
    assert (bogus["model"], bogus["choices"]) == ("", [{"index": 0, "delta": {"content": ""}, "finish_reason": None}])
    bogus = json.loads(body("/v1/completions").rstrip().rpartition(b"data: ")[2])
    assert (bogus["model"], bogus["choices"]) == ("", [{"text": "", "index": 0, "finish_reason": None}])
    assert body("/v1/messages").endswith(b'"delta":{"type":"text_delta","text":"hi"}}\n\n')
    assert b"response.completed" not in body("/v1/responses")


def test_an_early_end_is_clean_but_without_done(stub: StubProcess) -> None:
    answer = generate(stub, "eof_after=2")
    assert answer.endswith(b"0\r\n\r\n")
    assert b'"done":true' not in answer
    whole = json.loads(split(generate(stub, "eof_after=2", stream=False))[1])
    assert whole["done"] is False
    assert "eval_count" not in whole


def test_a_death_leaves_the_body_unfinished(stub: StubProcess) -> None:
    answer = generate(stub, "die_after=2")
    assert answer.count(b'"done":false') == 2
    assert not answer.endswith(b"0\r\n\r\n")
    assert generate(stub, "die_after=0") == b""
    whole = generate(stub, "die_after=1", stream=False)
    assert whole.startswith(b"HTTP/1.1 200 ")
    assert not whole.endswith(b"}")


def test_a_reset_is_a_reset(stub: StubProcess) -> None:
    with pytest.raises(ConnectionResetError):
        generate(stub, "reset_after=2 interval_ms=20")


def test_malformed_answers_are_malformed(stub: StubProcess) -> None:
    assert generate(stub, "malformed=status").startswith(b"HTTP/1.1 banana")
    assert b"Content-Type application/json" in generate(stub, "malformed=header")
    assert generate(stub, "malformed=chunk").endswith(b"zz\r\n")
    assert b'{"model": nonsense\n' in generate(stub, "malformed=json")
    head, body = generate(stub, "malformed=length", stream=False).split(b"\r\n\r\n")
    assert int(head.rpartition(b"Content-Length: ")[2]) > len(body)


def test_headers_can_be_huge_set_cookies_and_close(stub: StubProcess) -> None:
    assert len(split(generate(stub, "headers_kb=64"))[0]) > 64 * 1024
    assert b"Set-Cookie: stub=1; Path=/" in split(generate(stub, "cookie=1"))[0]
    with connect(stub.url) as sock:
        sock.sendall(request("/api/generate", {"model": "m", "prompt": "a [[close=1]]"}))
        assert read_until(sock, b"0\r\n\r\n")
        assert sock.recv(1) == b""


def test_headers_leave_with_the_first_chunk_unless_a_pause_is_asked(stub: StubProcess) -> None:
    with connect(stub.url) as sock:
        sock.sendall(request("/api/generate", {"model": "m", "prompt": "a [[header_pause_ms=60000]]"}))
        assert read_until(sock, b"\r\n\r\n").endswith(b"\r\n\r\n")
    with connect(stub.url) as sock:
        sock.sendall(request("/api/generate", {"model": "m", "prompt": "a [[first_delay_ms=60000]]"}))
        stub.wait_for(lambda stub: len(stub.under_way()) == 1)
        sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sock.recv(1)


def test_chunks_come_at_their_interval(stub: StubProcess) -> None:
    for _ in ("worked out", "kept ready"):
        started = time.monotonic()
        generate(stub, "chunks=5 interval_ms=20")
        assert time.monotonic() - started >= 0.1


@pytest.mark.parametrize("knobs", ["split=7", "split=random seed=3", "merge=3", "tcp=1", "split=2 tcp=random seed=5"])
def test_cuts_change_where_bytes_are_cut_and_nothing_else(stub: StubProcess, knobs: str) -> None:
    text = "multibyte=1 chunks=10"
    plain, cut = generate(stub, text), generate(stub, f"{text} {knobs}")
    assert split(cut) == split(plain)
    assert generate(stub, f"{text} {knobs}") == cut
    if "split" in knobs:
        assert len(wire_chunks(cut)) > len(wire_chunks(plain))


def test_a_line_can_be_megabytes(stub: StubProcess) -> None:
    body = split(generate(stub, "line_mb=8"))[1]
    assert len(json.loads(body.splitlines()[0])["response"]) == 8 * 2**20


def test_zero_counts_are_left_out(stub: StubProcess) -> None:
    last = json.loads(split(generate(stub, "usage=0"))[1].splitlines()[-1])
    assert last["done"] is True
    assert "eval_count" not in last
    assert "prompt_eval_count" not in last


def test_an_endless_stream_waits_for_its_reader(stub: StubProcess) -> None:
    """A reader that stops reading stops the stream, and the stub's memory stays as it is."""
    process = psutil.Process(stub.pid)
    with connect(stub.url) as sock:
        sock.sendall(request("/api/generate", {"model": "m", "prompt": "a [[endless=1]]"}))
        read_until(sock, b'"done":false')

        def written(stub: StubProcess) -> int:
            return stub.requests()[-1].chunks

        def has_stopped(stub: StubProcess) -> bool:
            before = written(stub)
            time.sleep(0.1)
            return written(stub) == before

        stub.wait_for(has_stopped, 20)
        memory, stopped_at = process.memory_info().rss, written(stub)
        assert sum(len(sock.recv(2**20)) for _ in range(200))
        stub.wait_for(lambda stub: written(stub) > stopped_at)
        stub.wait_for(has_stopped, 20)
        assert process.memory_info().rss - memory < 8 * 2**20
    stub.wait_for(lambda stub: stub.cancelled())


def test_a_serial_model_answers_one_at_a_time(stub: StubProcess) -> None:
    body = {"model": "stub-serial", "prompt": "a b [[interval_ms=40]]"}
    started = time.monotonic()
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: exchange(stub.url, "/api/generate", body), range(3)))
    assert all(b'"done":true' in answer for answer in answers)
    assert time.monotonic() - started >= 3 * 2 * 0.04


def test_a_loading_model_turns_the_third_away(stub: StubProcess) -> None:
    body = {"model": "stub-loading", "prompt": "a [[first_delay_ms=60000]]"}
    with connect(stub.url) as first, connect(stub.url) as second:
        for sock in (first, second):
            sock.sendall(request("/api/generate", body))
        stub.wait_for(lambda stub: len(stub.under_way()) == 2)
        assert exchange(stub.url, "/api/generate", body).startswith(b"HTTP/1.1 503 ")


def test_a_path_can_be_told_to_behave(stub: StubProcess) -> None:
    stub.behave("/api/version", "status=500")
    assert exchange(stub.url, "/api/version", method="GET").startswith(b"HTTP/1.1 500 ")
    stub.behave("/api/generate", "chunks=1")
    assert split(generate(stub, ""))[1].count(b"\n") == 2
    stub.reset()
    assert exchange(stub.url, "/api/version", method="GET").startswith(b"HTTP/1.1 200 ")
    with pytest.raises(RuntimeError, match="no knob 'bogus'"):
        stub.behave("/api/version", "bogus=1")
