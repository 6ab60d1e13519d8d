"""Through real sockets: the client's bytes are the stub's bytes, save for what must change."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.dialects.frames import MAX_FRAME_BYTES
from tests.dialects.front import STREAMED, House, last_words, saying

EVENTS = ("/api/v1/generate", "/api/v1/chat")
KNOBS = [
    "",
    "split=1",
    "split=random seed=1",
    "split=random seed=2 merge=5",
    "tcp=random seed=3",
    "tcp=7",
    "split=random tcp=random seed=4",
    "merge=11",
    "thinking=3 old=1 split=random seed=5",
    "linger_ms=30",
]


def upstreams_own(house: House, path: str, body: dict[str, Any]) -> bytes:
    """What the stub says to this very body, asked without a gateway."""
    return house.upstreams_own(path, {**body, "stream": True})


def expected(path: str, data: bytes) -> bytes:
    """What of the stub's bytes must differ: on two paths each line becomes an event."""
    return b"".join(b"data: " + line + b"\n\n" for line in data.split(b"\n")[:-1]) if path in EVENTS else data


@pytest.mark.parametrize("path", STREAMED)
@pytest.mark.parametrize("knobs", KNOBS)
def test_a_stream_is_the_stubs_bytes(house: House, path: str, knobs: str) -> None:
    body = saying(path, f"[[chunks=25 multibyte=1 {knobs}]]", stream=True)
    passed = house.stream(path, body)
    assert passed == expected(path, upstreams_own(house, path, body))
    assert len(passed) > 2000


@pytest.mark.long
@pytest.mark.parametrize("path", STREAMED)
def test_a_stream_is_the_stubs_bytes_however_it_is_cut(house: House, path: str) -> None:
    for seed in range(100):
        body = saying(path, f"[[chunks=25 multibyte=1 split=random tcp=random seed={seed}]]", stream=True)
        assert house.stream(path, body) == expected(path, upstreams_own(house, path, body))


@pytest.mark.parametrize("path", STREAMED)
def test_a_line_of_eight_megabytes_passes(house: House, path: str) -> None:
    # The events that repeat a whole text, as a response's end does, hold it twice.
    size = 4_000_000 if path.endswith("responses") else 8_000_000
    body = saying(path, f"[[chunks=1 size={size}]]", stream=True)
    assert house.stream(path, body) == expected(path, upstreams_own(house, path, body))


@pytest.mark.parametrize("path", STREAMED)
def test_a_longer_line_is_an_error(house: House, path: str) -> None:
    body = saying(path, f"[[chunks=1 size={MAX_FRAME_BYTES + 2_000_000}]]", stream=True)
    passed = house.stream(path, body)
    assert len(passed) < 4000
    assert "too long" in last_words(path, passed)[1]


@pytest.mark.parametrize("path", STREAMED)
def test_an_answer_in_one_piece_is_the_stubs_bytes(house: House, path: str) -> None:
    body = saying(path, "[[chunks=9 multibyte=1 thinking=2]]", stream=False)
    answer = house.ask(path, body)
    assert answer.headers["content-type"] == "application/json"
    assert answer.body == house.upstreams_own(path, body)


@pytest.mark.parametrize("path", [path for path in STREAMED if path.endswith("completions")])
@pytest.mark.parametrize("old", [0, 1])
def test_counts_that_were_asked_for_pass(house: House, path: str, old: int) -> None:
    text = f"a b c [[old={old} split=random seed=9]]"
    body = saying(path, text, stream=True, stream_options={"include_usage": True})
    passed = house.stream(path, body)
    assert passed == upstreams_own(house, path, body)
    assert b'"choices":[],"usage":' in passed or b'"usage":{"prompt_tokens":3' in passed


@pytest.mark.parametrize("path", STREAMED)
def test_tools_and_thinking_pass(house: House, path: str) -> None:
    function = {"name": "f", "description": "F", "parameters": {"type": "object", "properties": {"URL": {}, "url": {}}}}
    tool = {"type": "function", "function": function, "name": "f", "input_schema": {"type": "object"}}
    for place in ("chunk", "final"):
        body = saying(path, f"x y [[tool={place}]]", model="stub-think", tools=[tool], stream=True)
        assert house.stream(path, body) == expected(path, upstreams_own(house, path, body))


@pytest.mark.parametrize("path", STREAMED)
def test_a_stream_is_marked_as_one(house: House, path: str) -> None:
    answer = house.ask(path, saying(path, "a", stream=True))
    native = path in ("/api/generate", "/api/chat")
    assert answer.headers["content-type"] == ("application/x-ndjson" if native else "text/event-stream")
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["transfer-encoding"] == "chunked"


@pytest.mark.parametrize(
    ("path", "default"),
    [("/api/generate", True), ("/api/chat", True), ("/v1/chat/completions", False), ("/v1/messages", False)],
)
def test_the_default_is_the_dialects_own(house: House, path: str, default: bool) -> None:
    for stream in ({}, {"stream": None}):
        answer = house.ask(path, saying(path, "a", **stream))
        assert ("transfer-encoding" in answer.headers) is default


@pytest.mark.parametrize(
    ("path", "empty"),
    [
        ("/api/generate", {"model": "stub"}),
        ("/api/generate", {"model": "stub", "prompt": ""}),
        ("/api/chat", {"model": "stub"}),
        ("/api/chat", {"model": "stub", "messages": []}),
    ],
)
def test_a_request_to_load_is_answered_with_one_object(house: House, path: str, empty: dict[str, Any]) -> None:
    direct = house.upstreams_own(path, empty)
    assert b'"done_reason":"load"' in direct
    assert house.ask(path, empty).body == direct + b"\n"
    assert house.ask(path, {**empty, "stream": False}).body == direct


def test_no_header_of_the_upstreams_reaches_a_client(house: House) -> None:
    for path in STREAMED:
        for stream in (True, False):
            answer = house.ask(path, saying(path, "a [[cookie=1 headers_kb=2]]", stream=stream))
            assert answer.status == 200
            assert not {"set-cookie", "x-huge", "connection", "keep-alive"} & answer.headers.keys()
            assert "2026 03:04:05" not in answer.headers.get("date", "")
            assert "server" not in answer.headers
    for path in ("/api/tags", "/v1/models", "/api/version", "/api/ps"):
        house.stub.behave(path, "cookie=1")
        assert "set-cookie" not in house.ask(path, method="GET").headers
