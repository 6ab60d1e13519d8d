"""Counts are read wherever a frame carries them, cached tokens among them, and what can't be a count does no harm."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.call import Call
from proxy.dialects.base import Reader, WireFormat
from proxy.dialects.events import MessageReader
from proxy.routes import CHUNKS, LINES, ROUTES, VECTORS
from tests.dialects.asked import facts
from tests.dialects.front import STREAMED, House, saying
from tests.harness import wait_until

MESSAGES, RESPONSES = (
    next(route.format for route in ROUTES if route.path == path) for path in ("/v1/messages", "/v1/responses")
)
OPENAI = [path for path in STREAMED if path.endswith("completions")]
NATIVE = [path for path in STREAMED if path.endswith(("/generate", "/chat"))]
VECTOR_PATHS = ("/api/embed", "/v1/embeddings", "/api/v1/embeddings")
ZEROS = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
# What no upstream in its senses says.
ABSURD = [-1, "7", 1.5, True, [], {}, 10**12, 10**30]


def chunk(**members: Any) -> bytes:
    return b"data: " + json.dumps({"id": "x", "model": "m", **members}, separators=(",", ":")).encode() + b"\n\n"


def event(name: str, **members: Any) -> bytes:
    return f"event: {name}\n".encode() + chunk(**members)


def choice(content: str, reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": reason}]}


def usage(prompt: object, completion: object, **more: object) -> dict[str, Any]:
    return {"usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": 0, **more}}


def read(wire: WireFormat, data: bytes, **how: Any) -> tuple[bytes, Reader]:
    reader = wire.reader(facts(**how))
    return reader.feed(data), reader


def counts(reader: Reader) -> tuple[int | None, int | None, int | None, bool]:
    found = reader.spent()
    return found.prompt_tokens, found.completion_tokens, found.cached_tokens, found.estimated


# Through the front door


@pytest.mark.parametrize("path", STREAMED)
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(("knobs", "cached"), [("cached=3", 3), ("cached=0", 0), ("cached=3 created=2", 3)])
def test_cached_tokens_are_a_part_of_the_prompt(
    house: House, path: str, knobs: str, cached: int, *, stream: bool
) -> None:
    body = saying(path, f"one two three four five six [[chunks=4 {knobs}]]", stream=stream)
    line = house.line(house.ask(path, body))
    assert (line["prompt_tokens"], line["completion_tokens"], line["estimated"]) == (6, 4, None)
    assert line["cached_tokens"] == cached


@pytest.mark.parametrize("path", STREAMED)
def test_an_ollama_that_says_nothing_of_its_cache_has_no_cached_tokens(house: House, path: str) -> None:
    line = house.line(house.ask(path, saying(path, "one two three", stream=True)))
    assert line["prompt_tokens"] == 3
    assert not line["cached_tokens"]


@pytest.mark.parametrize("path", VECTOR_PATHS)
def test_cached_tokens_of_embeddings_are_read(house: House, path: str) -> None:
    line = house.line(house.ask(path, {"model": "stub-embed", "input": ["one two three", "four [[cached=2]]"]}))
    assert (line["prompt_tokens"], line["completion_tokens"], line["cached_tokens"]) == (4, 0, 2)


def test_cached_tokens_are_in_the_account_the_api_and_the_metrics(house: House) -> None:
    headers = {"X-API-Key": house.keys["user"]}

    path, model = "/v1/messages", "knobs.cached-5.created-1"
    assert house.line(house.ask(path, saying(path, "a b c d e f g", model=model)))["cached_tokens"] == 5

    def total() -> tuple[int, int]:
        answer = httpx.get(f"{house.server.url}/api/v1/usage?model={model}", headers=headers, timeout=30)
        found = answer.json()["total"]
        return found["prompt_tokens"], found["cached_tokens"]

    wait_until(lambda: total() == (7, 5), 10)
    csv = httpx.get(f"{house.server.url}/api/v1/usage?format=csv&model={model}", headers=headers, timeout=30).text
    head, row = (line.split(",") for line in csv.splitlines())
    assert dict(zip(head, row, strict=True))["cached_tokens"] == "5"


@pytest.mark.parametrize("path", OPENAI)
@pytest.mark.parametrize("asked", [None, {"include_usage": False}, {"include_usage": True}])
@pytest.mark.parametrize("knob", ["beside", "running"])
def test_counts_beside_choices_are_read_whether_asked_for_or_not(
    house: House, path: str, asked: object, knob: str
) -> None:
    body = saying(path, f"one two three [[chunks=6 counts={knob}]]", stream=True, stream_options=asked)
    answer = house.ask(path, body)
    line = house.line(answer)
    assert (line["prompt_tokens"], line["completion_tokens"], line["estimated"]) == (3, 6, None)
    assert (b'"usage"' in answer.body) is (asked == {"include_usage": True})


@pytest.mark.parametrize("path", OPENAI)
def test_who_asked_for_counts_gets_the_frames_as_ollama_wrote_them(house: House, path: str) -> None:
    body = saying(path, "one two [[chunks=5 counts=beside cached=1]]", stream=True)
    body["stream_options"] = {"include_usage": True}
    assert house.ask(path, body).body == house.upstreams_own(path, body)


@pytest.mark.parametrize("path", OPENAI)
def test_who_did_not_ask_gets_the_frames_without_counts(house: House, path: str) -> None:
    body = saying(path, "one two [[chunks=5 interval_ms=1 cached=1]]", stream=True)
    assert house.ask(path, body).body == house.upstreams_own(path, body)


@pytest.mark.parametrize("path", NATIVE)
@pytest.mark.parametrize("ending", ["", "eof_after=4", "die_after=4", "error_after=4"])
def test_counts_before_the_last_line_are_read(house: House, path: str, ending: str) -> None:
    body = saying(path, f"one two three [[chunks=9 counts=running {ending}]]", stream=True)
    line = house.line(house.ask(path, body))
    assert (line["prompt_tokens"], line["completion_tokens"]) == (3, 4 if ending else 9)
    assert line["estimated"] is None


# What a reader makes of single frames


@pytest.mark.parametrize(
    "details", [{}, {"prompt_tokens_details": {"cached_tokens": 0}}, {"prompt_tokens_details": {}}]
)
def test_a_completions_zeros_take_the_shortcut_in_each_form(details: dict[str, Any]) -> None:
    text = chunk(object="text_completion", choices=[{"text": "Hi", "index": 0, "finish_reason": None}])
    zeroed = text[:-3] + b',"usage":' + json.dumps(ZEROS | details, separators=(",", ":")).encode() + b"}\n\n"
    reader = CHUNKS.reader(facts(hide_usage=True))
    assert reader.plain(zeroed, 10) == text
    assert reader.feed(zeroed + zeroed) == text + text
    assert counts(reader)[:2] == (None, None)


@pytest.mark.parametrize("spaced", [False, True])
def test_counts_are_taken_out_of_a_frame_and_nothing_else_is_changed(*, spaced: bool) -> None:
    said = {"id": "x", **choice('é "usage": {}', "stop"), "model": "m"}
    separators = (", ", ": ") if spaced else (",", ":")
    plain = b"data: " + json.dumps(said, separators=separators, ensure_ascii=False).encode() + b"\n\n"
    counted = b"data: " + json.dumps({**said, **usage(7, 3)}, separators=separators, ensure_ascii=False).encode()
    passed, reader = read(CHUNKS, counted + b"\n\ndata: [DONE]\n\n", hide_usage=True)
    assert passed == plain + b"data: [DONE]\n\n"
    assert counts(reader) == (7, 3, None, False)


def test_counts_in_the_middle_of_a_frame_are_taken_out() -> None:
    passed, reader = read(CHUNKS, chunk(**usage(7, 3), **choice("Hi")), hide_usage=True)
    assert json.loads(passed.removeprefix(b"data: ")) == {"id": "x", "model": "m", **choice("Hi")}
    assert counts(reader) == (7, 3, None, False)


def test_counts_that_are_old_at_the_end_do_not_hide_what_came_since() -> None:
    texts = chunk(**choice("a"), **usage(9, 1)) + chunk(**choice("b")) * 50
    for end, estimated in ((b"", True), (b"data: [DONE]\n\n", True)):
        _, reader = read(CHUNKS, texts + end)
        prompt, written, _, is_estimate = counts(reader)
        assert (prompt, is_estimate) == (9, estimated)
        assert 51 <= (written or 0) <= 52
        assert reader.tokens == written, "a budget counts on"


def test_counts_that_shrink_leave_no_more_cached_than_read() -> None:
    first = line_of({"prompt_eval_count": 9, "eval_count": 1, "prompt_eval_cached_count": 8, "done": False})
    _, reader = read(LINES, first + line_of({"prompt_eval_count": 5, "eval_count": 2, "done": True}))
    assert counts(reader) == (5, 2, 5, False)


def line_of(said: dict[str, Any]) -> bytes:
    return json.dumps(said).encode() + b"\n"


def test_zeros_at_the_end_do_not_take_counts_back() -> None:
    data = chunk(**choice("a", "stop"), **usage(9, 4)) + chunk(choices=[], **usage(0, 0)) + b"data: [DONE]\n\n"
    assert counts(read(CHUNKS, data)[1]) == (9, 4, None, False)


@pytest.mark.parametrize("spoken", [{"output_tokens": 5}, {"output_tokens": 5, "input_tokens": None}])
def test_a_message_whose_end_leaves_the_prompt_out_has_that_of_its_start(spoken: dict[str, Any]) -> None:
    start = {"input_tokens": 100, "cache_read_input_tokens": 3000, "cache_creation_input_tokens": 20}
    data = event("message_start", message={"usage": {**start, "output_tokens": 1}})
    _, reader = read(MESSAGES, data)
    assert counts(reader)[:3] == (3120, None, 3000)
    reader.feed(event("message_delta", usage=spoken) + event("message_stop"))
    assert counts(reader) == (3120, 5, 3000, False)


def test_a_message_that_breaks_off_keeps_the_prompt_that_it_began_with() -> None:
    known = facts()
    call = Call.__new__(Call)
    reader = MessageReader(known)
    reader.feed(event("message_start", message={"usage": {"input_tokens": 1, "cache_read_input_tokens": 40}}))
    reader.feed(event("content_block_delta", delta={"text": "Hi"}) * 3)
    call.outcome = type("Outcome", (), {"usage": reader.usage, "dispatched": True, "ended": "left"})()  # type: ignore[assignment]
    call.reader, call.facts, call.admission = reader, known, None
    call.estimate()
    assert call.outcome.usage[:2] == (41, 4)
    assert (call.outcome.usage.cached_tokens, call.outcome.usage.estimated) == (40, True)


@pytest.mark.parametrize(
    "name", ["response.in_progress", "response.completed", "response.incomplete", "response.failed"]
)
def test_counts_of_a_response_are_read_in_any_of_its_events(name: str) -> None:
    said = {"input_tokens": 30, "output_tokens": 4, "input_tokens_details": {"cached_tokens": 20}}
    _, reader = read(RESPONSES, event(name, type=name, response={"usage": said}))
    assert counts(reader) == (30, 4, 20, False)


@pytest.mark.parametrize("absurd", ABSURD)
def test_what_can_be_no_count_is_not_believed(absurd: object) -> None:
    line = json.dumps({"done": True, "prompt_eval_count": absurd, "eval_count": absurd}, default=str).encode()
    wholes = [
        LINES.usage(line),
        CHUNKS.usage(json.dumps(usage(absurd, absurd)).encode()),
        RESPONSES.usage(json.dumps({"usage": {"input_tokens": absurd, "output_tokens": absurd}}).encode()),
        MESSAGES.usage(json.dumps({"usage": {"input_tokens": absurd, "output_tokens": absurd}}).encode()),
        VECTORS.usage(json.dumps({"data": [], **usage(absurd, 0)}).encode()),
    ]
    for found in wholes:
        assert found.prompt_tokens is None, found
        assert not found.completion_tokens


@pytest.mark.parametrize("cached", [99, *ABSURD])
def test_no_more_is_cached_than_the_prompt_has(cached: object) -> None:
    wholes = [
        LINES.usage(json.dumps({"done": True, "prompt_eval_count": 9, "prompt_eval_cached_count": cached}).encode()),
        CHUNKS.usage(json.dumps(usage(9, 1, prompt_tokens_details={"cached_tokens": cached})).encode()),
        VECTORS.usage(json.dumps(usage(9, 1, prompt_tokens_details={"cached_tokens": cached})).encode()),
        RESPONSES.usage(
            json.dumps({"usage": {"input_tokens": 9, "input_tokens_details": {"cached_tokens": cached}}}).encode()
        ),
    ]
    for found in wholes:
        assert found.prompt_tokens == 9
        assert found.cached_tokens in (None, 9)


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["usage", "cached_tokens", "input_tokens", "prompt_tokens"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(any_json)
def test_whatever_stands_for_counts_breaks_nothing(said: object) -> None:
    body = json.dumps({"usage": said, "done": True, "eval_count": said, "message": {"usage": said}}).encode()
    for wire in (LINES, CHUNKS, RESPONSES, MESSAGES, VECTORS):
        found = wire.usage(body)
        assert all(value is None or value >= 0 for value in found)
    for name in ("message_start", "message_delta"):
        read(MESSAGES, f"event: {name}\ndata: ".encode() + body + b"\n\n")
    read(RESPONSES, b'event: response.completed\ndata: {"response":' + body + b"}\n\n")
    read(CHUNKS, b"data: " + body + b"\n\n", hide_usage=True)
    read(LINES, body + b"\n")


@pytest.mark.parametrize("path", NATIVE)
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_an_answer_whose_end_has_no_counts_is_charged_an_estimate(house: House, path: str, *, stream: bool) -> None:
    line = house.line(house.ask(path, saying(path, "one two three [[chunks=40 usage=0]]", stream=stream)))
    assert (line["ended"], line["estimated"]) == ("done", True)
    assert line["prompt_tokens"] > 0
    assert line["completion_tokens"] > 0


def test_an_end_without_counts_is_zero_only_where_no_answer_came() -> None:
    last = line_of({"model": "m", "done": True, "done_reason": "load", "message": {"content": ""}})
    assert counts(read(LINES, last)[1]) == (0, 0, None, False)
    for text in ({"message": {"content": "a"}}, {"message": {"tool_calls": [{}]}}, {"response": "a"}):
        said = line_of({"model": "m", **text, "done": True})
        assert counts(read(LINES, said)[1])[:2] == (None, None)
        assert LINES.usage(said)[:2] == (None, None)
        assert LINES.usage(line_of({**json.loads(said), "eval_count": 5}))[:2] == (0, 5)
    assert LINES.usage(last)[:2] == (0, 0)
    first = line_of({"message": {"content": "a"}, "done": False})
    assert counts(read(LINES, first + last)[1])[:2] == (None, None)
    reader = LINES.reader(facts())
    reader.feed(first)
    reader.feed(last)
    assert counts(reader)[:2] == (None, None)
