"""The stub is the suite's ground truth, so its bytes are written out here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.stub_client import StubProcess
from tests.benchmarks.raw import chunks, exchange, split

if TYPE_CHECKING:
    from collections.abc import Iterator

AT = '"created_at":"2026-01-02T03:04:05.678Z"'
COUNTS = (
    '"total_duration":9000000,"load_duration":1000000,"prompt_eval_count":2,'
    '"prompt_eval_duration":2000000,"eval_count":2,"eval_duration":5000000'
)
USER = [{"role": "user", "content": "hi you"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


def answer(stub: StubProcess, path: str, body: object = b"", **how: Any) -> tuple[str, str]:
    head, payload = split(exchange(stub.url, path, body, **how))
    return head.decode(), payload.decode()


def test_generate_streams_lines_unless_told_otherwise(stub: StubProcess) -> None:
    raw = exchange(stub.url, "/api/generate", {"model": "m", "prompt": "hi you"})
    head, _blank, body = raw.partition(b"\r\n\r\n")
    assert head.decode().split("\r\n") == [
        "HTTP/1.1 200 OK",
        "Content-Type: application/x-ndjson",
        "Date: Fri, 02 Jan 2026 03:04:05 GMT",
        "Transfer-Encoding: chunked",
    ]
    assert [chunk.decode() for chunk in chunks(body)] == [
        f'{{"model":"m",{AT},"response":"hi","done":false}}\n',
        f'{{"model":"m",{AT},"response":" you","done":false}}\n',
        f'{{"model":"m",{AT},"response":"","done":true,"done_reason":"stop","context":[1,2,3],{COUNTS}}}\n',
    ]


def test_generate_in_one_piece_has_a_length_and_no_newline(stub: StubProcess) -> None:
    head, body = answer(stub, "/api/generate", {"model": "m", "prompt": "hi you", "stream": False})
    assert "Content-Type: application/json; charset=utf-8\r\n" in head
    assert head.endswith(f"Content-Length: {len(body)}")
    assert (
        body == f'{{"model":"m",{AT},"response":"hi you","done":true,"done_reason":"stop","context":[1,2,3],{COUNTS}}}'
    )


def test_raw_generation_has_no_context(stub: StubProcess) -> None:
    _head, body = answer(stub, "/api/generate", {"model": "m", "prompt": "hi", "stream": False, "raw": True})
    assert "context" not in json.loads(body)


@pytest.mark.parametrize(("keep_alive", "reason"), [(None, "load"), (0, "unload"), ("5m", "load"), ("0", "unload")])
def test_an_empty_prompt_is_one_object_even_for_a_stream(stub: StubProcess, keep_alive: object, reason: str) -> None:
    head, body = answer(stub, "/api/generate", {"model": "m", "keep_alive": keep_alive, "stream": True})
    assert "Content-Type: application/json; charset=utf-8" in head
    assert body == f'{{"model":"m",{AT},"response":"","done":true,"done_reason":"{reason}"}}'


def test_chat_streams_messages(stub: StubProcess) -> None:
    _head, body = answer(stub, "/api/chat", {"model": "m", "messages": USER})
    assert body.splitlines() == [
        f'{{"model":"m",{AT},"message":{{"role":"assistant","content":"hi"}},"done":false}}',
        f'{{"model":"m",{AT},"message":{{"role":"assistant","content":" you"}},"done":false}}',
        f'{{"model":"m",{AT},"message":{{"role":"assistant","content":""}},"done":true,"done_reason":"stop",{COUNTS}}}',
    ]


def test_five_tokens_are_the_default_and_a_cap_is_a_length(stub: StubProcess) -> None:
    def end(**more: object) -> tuple[str, str, int]:
        _head, body = answer(stub, "/api/generate", {"model": "m", "prompt": "a b c d e f", "stream": False, **more})
        value = json.loads(body)
        return value["response"], value["done_reason"], value["eval_count"]

    assert end() == ("a b c d e", "length", 5)
    assert end(options={"num_predict": 2}) == ("a b", "length", 2)
    assert end(options={"num_predict": 6}) == ("a b c d e f", "stop", 6)
    assert end(options={"num_predict": -1}) == ("a b c d e f", "stop", 6)


def test_a_thinking_model_thinks_first_and_can_be_told_not_to(stub: StubProcess) -> None:
    def lines(**more: object) -> list[dict[str, Any]]:
        _head, body = answer(stub, "/api/chat", {"model": "stub-think", "messages": USER, **more})
        return [json.loads(line) for line in body.splitlines()]

    assert [line["message"].get("thinking") for line in lines()] == ["Hm", ", let me think", None, None, None]
    assert lines()[-1]["eval_count"] == 4
    assert [line["message"].get("thinking") for line in lines(think=False)] == [None, None, None]
    assert answer(stub, "/api/chat", {"model": "m", "messages": USER, "think": True})[1] == (
        '{"error":"\\"m\\" does not support thinking"}'
    )


@pytest.mark.parametrize("place", ["chunk", "final"])
def test_a_tool_call_has_object_arguments_natively(stub: StubProcess, place: str) -> None:
    said = [{"role": "user", "content": f"hi [[tool={place}]]"}]
    body = {"model": "stub-think", "messages": said, "tools": [TOOL], "think": False}
    lines = [json.loads(line) for line in answer(stub, "/api/chat", body)[1].splitlines()]
    calls = [{"id": "call_ab12cd34", "function": {"index": 0, "name": "f", "arguments": {"x": 1}}}]
    with_calls = [line for line in lines if "tool_calls" in line["message"]]
    assert [line["message"]["tool_calls"] for line in with_calls] == [calls]
    assert [line["done"] for line in with_calls] == [place == "final"]


HEAD_OF_CHUNK = '"object":"chat.completion.chunk","created":1767323045,"model":"m","system_fingerprint":"fp_ollama"'


def frames(body: str) -> Iterator[str]:
    assert body.endswith("\n\n")
    for frame in body[:-2].split("\n\n"):
        assert frame.startswith("data: ")
        yield frame.removeprefix("data: ")


def test_chat_completions_stream_as_openai_does_with_usage_only_when_asked(stub: StubProcess) -> None:
    body = {"model": "m", "messages": USER, "stream": True, "stream_options": {"include_usage": True}}
    raw = exchange(stub.url, "/v1/chat/completions", body)
    head, _blank, payload = raw.partition(b"\r\n\r\n")
    assert b"\r\nContent-Type: text/event-stream\r\n" in head
    pieces = [chunk.decode() for chunk in chunks(payload)]
    number = json.loads(pieces[0][6:])["id"]
    start = f'data: {{"id":"{number}",{HEAD_OF_CHUNK},"choices":'
    assert pieces == [
        start + '[{"index":0,"delta":{"role":"assistant","content":"hi"},"finish_reason":null}]}\n\n',
        start + '[{"index":0,"delta":{"content":" you"},"finish_reason":null}]}\n\n',
        start
        + '[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
        + start
        + '[],"usage":{"prompt_tokens":2,"completion_tokens":2,"total_tokens":4}}\n\n'
        + "data: [DONE]\n\n",
    ]
    del body["stream_options"]
    assert "usage" not in answer(stub, "/v1/chat/completions", body)[1]


def test_the_older_chat_chunks_repeat_the_role(stub: StubProcess) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi you [[old=1]]"}], "stream": True}
    *values, done = frames(answer(stub, "/v1/chat/completions", body)[1])
    assert done == "[DONE]"
    choices = [json.loads(value)["choices"][0] for value in values]
    assert [choice["delta"]["role"] for choice in choices] == ["assistant"] * 3
    assert [choice["finish_reason"] for choice in choices] == [None, None, "stop"]


def test_chat_completions_in_one_piece_end_with_a_newline(stub: StubProcess) -> None:
    head, body = answer(stub, "/v1/chat/completions", {"model": "m", "messages": USER})
    assert "Content-Type: application/json\r\n" in head
    number = json.loads(body)["id"]
    assert body == (
        f'{{"id":"{number}","object":"chat.completion","created":1767323045,"model":"m",'
        '"system_fingerprint":"fp_ollama","choices":[{"index":0,"message":{"role":"assistant","content":"hi you"},'
        '"finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":2,"total_tokens":4}}\n'
    )


def test_a_tool_call_has_text_arguments_for_openai(stub: StubProcess) -> None:
    said = [{"role": "user", "content": "[[tool=chunk chunks=0]]"}]
    body = {"model": "m", "messages": said, "tools": [TOOL], "stream": True}
    first, last, _done = frames(answer(stub, "/v1/chat/completions", body)[1])
    assert (
        '"delta":{"role":"assistant","content":"","tool_calls":[{"id":"call_ab12cd34","index":0,"type":"function",'
        in first
    )
    assert '"function":{"name":"f","arguments":"{\\"x\\":1}"}}]},"finish_reason":null' in first
    assert json.loads(last)["choices"][0]["finish_reason"] == "tool_calls"


def test_completions_carry_zero_usage_on_each_chunk_when_usage_is_asked(stub: StubProcess) -> None:
    body = {"model": "m", "prompt": "hi you", "stream": True, "stream_options": {"include_usage": True}}
    *values, done = frames(answer(stub, "/v1/completions", body)[1])
    assert done == "[DONE]"
    found = [json.loads(value) for value in values]
    assert [value["usage"]["total_tokens"] for value in found] == [0, 0, 0, 4]
    texts = [(c["text"], c["finish_reason"]) for value in found for c in value["choices"]]
    assert texts == [("hi", None), (" you", None), ("", "stop")]
    number = found[0]["id"]
    assert values[0] == (
        f'{{"id":"{number}","object":"text_completion","created":1767323045,'
        '"choices":[{"text":"hi","index":0,"finish_reason":null}],"model":"m","system_fingerprint":"fp_ollama",'
        '"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}'
    )


def test_messages_stream_named_events_and_estimate_the_prompt_first(stub: StubProcess) -> None:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi you"}], "stream": True}
    head, text = answer(stub, "/v1/messages", body)
    assert "Content-Type: text/event-stream\r\nCache-Control: no-cache\r\nConnection: keep-alive\r\n" in head
    events = text[:-2].split("\n\n")
    assert [event.split("\n")[0] for event in events] == [
        "event: message_start",
        "event: content_block_start",
        "event: content_block_delta",
        "event: content_block_delta",
        "event: content_block_stop",
        "event: message_delta",
        "event: message_stop",
    ]
    number = json.loads(events[0].split("data: ")[1])["message"]["id"]
    assert events[0] == (
        'event: message_start\ndata: {"type":"message_start","message":{"id":"' + number + '","type":"message",'
        '"role":"assistant","model":"m","content":[],"usage":{"input_tokens":1,"output_tokens":0}}}'
    )
    assert events[5] == (
        'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
        '"usage":{"input_tokens":2,"output_tokens":2}}'
    )


def test_messages_that_say_nothing_have_null_content(stub: StubProcess) -> None:
    said = [{"role": "user", "content": "x [[chunks=0]]"}]
    _head, body = answer(stub, "/v1/messages", {"model": "m", "max_tokens": 9, "messages": said})
    assert json.loads(body)["content"] is None


def test_responses_number_their_events_and_end_completed(stub: StubProcess) -> None:
    _head, text = answer(stub, "/v1/responses", {"model": "m", "input": "hi you", "stream": True})
    data = [json.loads(event.split("data: ")[1]) for event in text[:-2].split("\n\n")]
    assert [event["type"].removeprefix("response.") for event in data] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event["sequence_number"] for event in data] == list(range(10))
    assert all(list(event) == sorted(event) for event in data)
    usage = data[-1]["response"]["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (2, 2, 4)


def test_embeddings_in_three_ways(stub: StubProcess) -> None:
    _head, body = answer(stub, "/api/embed", {"model": "stub-embed", "input": ["a b", "c"]})
    native = json.loads(body)
    assert list(native) == ["model", "embeddings", "total_duration", "load_duration", "prompt_eval_count"]
    assert native["prompt_eval_count"] == 3
    assert sum(value * value for value in native["embeddings"][0]) == pytest.approx(1)
    assert list(json.loads(answer(stub, "/api/embeddings", {"model": "stub-embed", "prompt": "a"})[1])) == ["embedding"]
    _head, body = answer(stub, "/v1/embeddings", {"model": "stub-embed", "input": "a b"})
    assert body.endswith('],"index":0}],"model":"stub-embed","usage":{"prompt_tokens":2,"total_tokens":2}}\n')
    assert json.loads(body)["data"][0]["embedding"] == native["embeddings"][0]


def test_tags_ps_and_version_have_exactly_their_keys(stub: StubProcess) -> None:
    assert answer(stub, "/api/version", method="GET")[1] == '{"version":"0.33.0"}'
    tags = json.loads(answer(stub, "/api/tags", method="GET")[1])["models"]
    assert [row["name"] for row in tags] == [
        "stub:latest",
        "stub-embed:latest",
        "stub-think:latest",
        "stub-remote:latest",
    ]
    assert list(tags[0]) == ["name", "model", "modified_at", "size", "digest", "details", "capabilities"]
    assert list(tags[3])[:4] == ["name", "model", "remote_model", "remote_host"]
    (loaded,) = json.loads(answer(stub, "/api/ps", method="GET")[1])["models"]
    assert list(loaded) == [
        "name",
        "model",
        "size",
        "digest",
        "details",
        "expires_at",
        "size_vram",
        "context_length",
    ]
    assert "model_info" in json.loads(answer(stub, "/api/show", {"model": "m"})[1])


def test_openai_models_are_null_when_there_are_none(stub: StubProcess) -> None:
    assert '"id":"stub:latest","object":"model"' in answer(stub, "/v1/models", method="GET")[1]
    assert answer(stub, "/v1/models/a", method="GET")[1].startswith('{"id":"a","object":"model"')
    assert answer(stub, "/v1/models/ns%2Fm", method="GET")[1] == "404 page not found"
    with StubProcess("--models", "") as empty:
        assert answer(empty, "/v1/models", method="GET")[1] == '{"object":"list","data":null}\n'
        assert answer(empty, "/api/tags", method="GET")[1] == '{"models":[]}'


NO_TOOLS = "registry.ollama.ai/library/stub:latest does not support tools"
BUSY = "server busy, please try again.  maximum pending requests exceeded"
NOT_FOUND = 'model "{}" not found, try pulling it first'
HOT = {"temperature": "hot"}


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("generate", {"model": "Missing", "prompt": "a"}, 404, "model 'Missing' not found"),
        ("generate", {"prompt": "a"}, 404, "model '' not found"),
        ("chat", {"messages": []}, 400, "model is required"),
        ("chat", {"model": "stub-embed", "messages": USER}, 400, '"stub-embed" does not support chat'),
        ("chat", {"model": "stub", "messages": USER, "tools": [TOOL]}, 400, NO_TOOLS),
        ("embed", {"model": "missing", "input": "a"}, 404, NOT_FOUND.format("missing")),
        ("embeddings", {"model": "Stub-Embed", "prompt": "a"}, 404, NOT_FOUND.format("Stub-Embed")),
        ("generate", {"model": "a b", "prompt": "a"}, 400, "invalid model name"),
        ("generate", b"", 400, "missing request body"),
        ("generate", b'{"model"', 400, "unexpected EOF"),
        ("generate", b"nope", 400, "invalid character 'n' looking for beginning of value"),
        ("generate", {"model": "m", "options": HOT}, 500, 'option "temperature" must be of type float32'),
        ("generate", {"model": "m", "keep_alive": True}, 400, "Unsupported type: 'bool'"),
    ],
)
def test_a_native_error_is_a_string(stub: StubProcess, path: str, body: object, status: int, text: str) -> None:
    head, found = answer(stub, f"/api/{path}", body)
    assert head.startswith(f"HTTP/1.1 {status} ")
    assert "Content-Type: application/json; charset=utf-8" in head
    assert found == json.dumps({"error": text}, separators=(",", ":"))


@pytest.mark.parametrize(
    ("path", "body", "status", "kind", "text"),
    [
        ("chat/completions", b"", 400, "invalid_request_error", "EOF"),
        ("chat/completions", {"model": "m"}, 400, "invalid_request_error", "[] is too short - 'messages'"),
        ("completions", {"model": "missing", "prompt": "a"}, 404, "not_found_error", "model 'missing' not found"),
        ("responses", {"model": "m", "input": "[[status=503]]"}, 503, "api_error", BUSY),
    ],
)
def test_an_openai_error_is_an_object(  # noqa: PLR0913 -- a row of the table
    stub: StubProcess, path: str, body: object, status: int, kind: str, text: str
) -> None:
    head, found = answer(stub, f"/v1/{path}", body)
    assert head.startswith(f"HTTP/1.1 {status} ")
    assert found == f'{{"error":{{"message":"{text}","type":"{kind}","param":null,"code":null}}}}\n'


def test_an_anthropic_error_has_a_request_id(stub: StubProcess) -> None:
    head, found = answer(stub, "/v1/messages", {"model": "m", "messages": USER})
    assert head.startswith("HTTP/1.1 400 ")
    assert found == (
        '{"type":"error","error":{"type":"invalid_request_error",'
        '"message":"max_tokens is required and must be positive"},"request_id":"req_0a0a0a0a0a0a0a0a0a0a0a0a"}\n'
    )


@pytest.mark.parametrize(
    ("method", "path", "status", "text", "header"),
    [
        ("GET", "/", 200, "Ollama is running", "Content-Type: text/plain; charset=utf-8"),
        ("HEAD", "/", 200, "", "Content-Length: 17"),
        ("GET", "/nope", 404, "404 page not found", "Content-Type: text/plain"),
        ("GET", "/api/generate", 405, "405 method not allowed", "Allow: POST"),
        ("GET", "/api/tags/", 301, "", "Location: /api/tags"),
        ("POST", "//api/chat?a=b", 307, "", "Location: /api/chat?a=b"),
        ("POST", "/v1/messages/count_tokens", 404, "404 page not found", "Content-Type: text/plain"),
    ],
)
def test_paths_are_found_as_go_finds_them(  # noqa: PLR0913 -- a row of the table
    stub: StubProcess, method: str, path: str, status: int, text: str, header: str
) -> None:
    head, body = answer(stub, path, method=method)
    assert head.startswith(f"HTTP/1.1 {status} ")
    assert body == text
    assert header in head.split("\r\n")


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ({"headers": "Origin: https://evil.example\r\n"}, 403),
        ({"host": "evil.example"}, 403),
        ({"headers": "Origin: http://localhost:3000\r\n"}, 200),
        ({"host": "10.0.0.7:11434"}, 200),
        ({"host": "box.local"}, 200),
    ],
)
def test_a_foreign_host_or_origin_is_an_empty_403(stub: StubProcess, how: dict[str, str], status: int) -> None:
    head, body = answer(stub, "/api/version", method="GET", **how)
    assert head.startswith(f"HTTP/1.1 {status} ")
    assert bool(body) == (status == 200)


def test_keys_fold_and_the_last_one_wins(stub: StubProcess) -> None:
    first = '{"model":"a","prompt":"x","MODEL":"b","\u017ftream":true,"stream":null,"STREAM":false,"model":null}'
    body = first + ' {"model":"c"}'
    value = json.loads(answer(stub, "/api/generate", body.encode())[1])
    assert value["model"] == "b"
    assert value["done"] is True


def test_go_s_escapes_are_on_the_wire(stub: StubProcess) -> None:
    _head, body = answer(stub, "/api/generate", {"model": "m", "prompt": "<é&\u2028🦙 \u0085>", "stream": False})
    assert '"response":"\\u003cé\\u0026\\u2028🦙 \x85\\u003e"' in body


def test_a_progress_stream_ends_with_success_or_an_error_line(stub: StubProcess) -> None:
    assert answer(stub, "/api/pull", {"model": "m"})[1].splitlines()[-1] == '{"status":"success"}'
    assert answer(stub, "/api/pull", {"name": "missing"})[1].splitlines() == [
        '{"status":"pulling manifest"}',
        '{"error":"pull model manifest: file does not exist"}',
    ]
    assert answer(stub, "/api/pull", {"model": "m", "stream": False})[1] == '{"status":"success"}'


def test_routes_that_change_an_ollama_exist_and_are_counted(stub: StubProcess) -> None:
    digest = "sha256:" + "0" * 64
    asked = [
        ("POST", "/api/push", {"model": "m"}, 200),
        ("POST", "/api/create", {"model": "m", "from": "n"}, 200),
        ("POST", "/api/copy", {"source": "a", "destination": "b"}, 200),
        ("DELETE", "/api/delete", {"model": "m"}, 200),
        ("HEAD", f"/api/blobs/{digest}", b"", 404),
        ("POST", f"/api/blobs/{digest}", b"xyz", 201),
        ("POST", f"/api/blobs/{digest}", b"xyz", 200),
        ("HEAD", f"/api/blobs/{digest}", b"", 200),
        ("POST", "/api/me", b"", 401),
        ("POST", "/api/signout", b"", 200),
        ("DELETE", "/api/user/keys/k", b"", 200),
        ("POST", "/api/experimental/web_search", b"{}", 200),
        ("POST", "/api/experimental/web_fetch", b"{}", 200),
    ]
    for method, path, body, status in asked:
        assert answer(stub, path, body, method=method)[0].startswith(f"HTTP/1.1 {status} "), path
    calls = stub.calls()
    assert calls["POST /api/blobs/{}"] == 2
    assert calls["DELETE /api/user/keys/{}"] == 1
    assert sum(calls.values()) == len(asked)
