"""An upstream whose counts can't be true: the account stays sound, and nothing is held up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.harness import GatewayServer, wait_until
from tests.proxy.test_unheard import line_of
from tests.proxy.wire import Client, FakeUpstream, Peer, chunk, fake_upstream

FALSE = [-5, 1.5, "7", None, True, 10**9, 10**18, 10**30, [1], {"a": 1}]
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LIMITS = {"DEFAULT_TOKENS_PER_DAY": 100_000, "DEFAULT_CONCURRENCY": 50, "RESERVE_STEP": 1}


def native(count: object) -> dict[str, Any]:
    durations = {"total_duration": count, "load_duration": count, "eval_duration": count}
    return {"prompt_eval_count": count, "eval_count": count, "prompt_eval_cached_count": count, **durations}


def usage(count: object, reads: str, writes: str) -> dict[str, Any]:
    details = {"cached_tokens": count}
    return {"usage": {reads: count, writes: count, f"{reads}_details": details, "cache_read_input_tokens": count}}


def dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def data(value: object) -> bytes:
    return b"data: " + dump(value) + b"\n\n"


# For each path: the body, the answer in one piece, and that in frames.
SAID = [{"role": "user", "content": "abcd"}]
Answers = tuple[dict[str, Any], Callable[[object], bytes], Callable[[object], list[bytes]]]
PATHS: dict[str, Answers] = {
    "/api/chat": (
        {"messages": SAID},
        lambda count: dump({"done": True, **native(count)}),
        lambda count: [
            *[dump({"message": {"content": "a"}, "done": False, **native(count)}) + b"\n"] * 5,
            dump({"done": True, **native(count)}) + b"\n",
        ],
    ),
    "/v1/chat/completions": (
        {"messages": SAID},
        lambda count: dump({"choices": [{"index": 0}], **usage(count, "prompt_tokens", "completion_tokens")}),
        lambda count: [
            *[data({"model": "m", "choices": [{}], **usage(count, "prompt_tokens", "completion_tokens")})] * 5,
            b"data: [DONE]\n\n",
        ],
    ),
    "/v1/messages": (
        {"messages": SAID, "max_tokens": 50},
        lambda count: dump({"content": [], **usage(count, "input_tokens", "output_tokens")}),
        lambda count: [
            b"event: message_start\n" + data({"message": usage(count, "input_tokens", "output_tokens")}),
            *[b"event: content_block_delta\n" + data({"delta": {"text": "a"}})] * 5,
            b"event: message_delta\n" + data(usage(count, "input_tokens", "output_tokens")),
            b"event: message_stop\ndata: {}\n\n",
        ],
    ),
    "/v1/responses": (
        {"input": "abcd"},
        lambda count: dump({"output": [], **usage(count, "input_tokens", "output_tokens")}),
        lambda count: [
            *[b"event: response.output_text.delta\n" + data({"delta": "a"})] * 5,
            b"event: response.completed\n" + data({"response": usage(count, "input_tokens", "output_tokens")}),
        ],
    ),
}


@pytest.fixture(scope="module")
def limited() -> Iterator[tuple[GatewayServer, FakeUpstream]]:
    """A gateway with limits in front of an upstream that says what a test says."""
    with (
        fake_upstream() as upstream,
        GatewayServer(ollama_url=upstream.url, APP_ENV="production", TLS="false", **LIMITS) as server,
    ):
        yield server, upstream


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_counts_that_can_not_be_true_are_estimated(
    limited: tuple[GatewayServer, FakeUpstream], path: str, *, stream: bool
) -> None:
    server, upstream = limited
    body, whole, frames = PATHS[path]

    def behave(peer: Peer) -> None:
        if not stream:
            said = whole(FALSE[number])
            peer.send(WHOLE % (len(said), said))
            return
        peer.send(STREAM, *map(chunk, frames(FALSE[number])), b"0\r\n\r\n")

    upstream.behave = behave
    for number in range(len(FALSE)):
        request_id = f"{path.replace('/', '-')}-{stream}-{number}"
        with Client(server) as client:
            client.ask(path, {"model": "m", "stream": stream, **body}, X_Request_ID=request_id)
            assert client.answer().status == 200
        line = line_of(server, request_id)
        assert 0 <= line["prompt_tokens"] <= 2, line
        assert 0 <= line["completion_tokens"] <= 60, line
        assert (line["cached_tokens"] or 0) <= line["prompt_tokens"]


def test_the_account_is_sound_after_that(limited: tuple[GatewayServer, FakeUpstream]) -> None:
    server, _ = limited

    def report() -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{server.url}/api/v1/usage", headers=server.headers, timeout=30).json()
        return found

    calls = 2 * len(PATHS) * len(FALSE)
    wait_until(lambda: report()["total"]["requests"] == calls, 10, server.log)
    said = report()
    assert 0 < said["total"]["tokens"] < 60 * calls
    left = {limit["dimension"]: limit["left"] for limit in said["limits"]}
    assert left["tokens_per_day"] == 100_000 - said["total"]["tokens"]
    assert said["total"]["gpu_seconds"] < 3 * calls


def test_a_count_that_can_just_be_true_does_not_hold_the_gateway_up(
    limited: tuple[GatewayServer, FakeUpstream],
) -> None:
    server, upstream = limited
    body, _, frames = PATHS["/api/chat"]
    upstream.behave = lambda peer: peer.send(STREAM, *map(chunk, frames(99_999_999)), b"0\r\n\r\n")
    with Client(server) as client:
        client.ask("/api/chat", {"model": "m", "stream": True, **body})
        assert client.answer().status == 200, "it reserved a token at a time"
    lines = b"".join(path.read_bytes() for path in server.folder.glob("journal/*.jsonl"))
    assert lines.count(b'"again":true') < 1000
