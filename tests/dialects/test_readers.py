"""Streams on their way through: the same frames and the same counts, wherever the network cuts them."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.call import Usage
from proxy.dialects.base import Reader, WireFormat
from proxy.dialects.frames import MAX_FRAME_BYTES, Frames, FrameTooLong
from proxy.routes import CHUNKS, EVENTS, LINES, PROGRESS, ROUTES
from tests.dialects.asked import facts
from tests.dialects.stubbed import said, streamed, whole

MESSAGES, RESPONSES = (
    next(route.format for route in ROUTES if route.path == path) for path in ("/v1/messages", "/v1/responses")
)
PROMPT = "one two three four [[chunks=12 multibyte=1 thinking=2 tool={tool}]]"
TOOL = {"type": "function", "name": "f", "function": {"name": "f", "parameters": {}}}


class Kind(NamedTuple):
    """A stream of the stub: where it comes from, what reads it, what is asked beside the text."""

    path: str
    format: WireFormat
    fields: dict[str, Any]


KINDS = {
    "generate": Kind("/api/generate", LINES, {}),
    "chat": Kind("/api/chat", LINES, {"model": "stub-think"}),
    "chat with tools": Kind("/api/chat", LINES, {"model": "stub-think", "tools": [TOOL]}),
    "generate as events": Kind("/api/generate", EVENTS, {}),
    "chat as events": Kind("/api/chat", EVENTS, {"model": "stub-think", "tools": [TOOL]}),
    "chat completions": Kind("/v1/chat/completions", CHUNKS, {"model": "stub-think", "tools": [TOOL]}),
    "completions": Kind("/v1/completions", CHUNKS, {}),
    "messages": Kind("/v1/messages", MESSAGES, {"model": "stub-think", "tools": [TOOL]}),
    "responses": Kind("/v1/responses", RESPONSES, {"model": "stub-think", "tools": [TOOL]}),
    "pull": Kind("/api/pull", PROGRESS, {}),
}
# What the stub counts for the prompt above: its words, and what it says.
COUNTS = {"generate": (4, 14), "generate as events": (4, 14), "completions": (4, 14), "pull": (None, None)}
TOOLED = (4, 15)


def read(wire: WireFormat, pieces: list[bytes], **how: Any) -> tuple[bytes, Any]:
    """Feeds a stream to a reader; returns what passed, and the reader."""
    reader = wire.reader(facts(**how))
    passed = b""
    for piece in pieces:
        passed += reader.feed(piece)
        if reader.over:
            return passed, reader
    return passed + reader.end(), reader


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Cuts bytes at these places."""
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


def bytes_of(kind: Kind, *, tool: str = "chunk", broken_after: int | None = None, **fields: Any) -> bytes:
    body = {**({} if kind.path == "/api/pull" else said(kind.path, PROMPT.format(tool=tool))), **kind.fields, **fields}
    return streamed(kind.path, broken_after=broken_after, **body)


def expected(kind: Kind, data: bytes) -> bytes:
    """What must pass: the same bytes, lines wrapped into events where the format says so."""
    if kind.format is not EVENTS:
        return data
    return b"".join(b"data: " + line + b"\n\n" for line in data.splitlines())


PLACES = st.lists(st.integers(0, 20_000), max_size=60)


@pytest.mark.parametrize("name", KINDS)
@given(places=PLACES)
@settings(max_examples=25)
def test_any_cut_gives_the_same_frames_and_the_same_counts(name: str, places: list[int]) -> None:
    kind = KINDS[name]
    fields = {"stream_options": {"include_usage": True}} if kind.format is CHUNKS else {}
    data = bytes_of(kind, **fields)
    passed, reader = read(kind.format, cut(data, places))
    assert passed == expected(kind, data)
    assert reader.over
    assert reader.failure is None
    prompt = {"chat": (4, 14)}.get(name, COUNTS.get(name, TOOLED))
    assert (reader.usage.prompt_tokens, reader.usage.completion_tokens) == prompt


@pytest.mark.parametrize("name", KINDS)
@given(places=PLACES, ends=st.booleans(), most=st.integers(0, 30), renamed=st.booleans(), shown=st.booleans())
@settings(max_examples=50)
def test_what_passes_by_the_shortcut_is_what_a_reader_would_pass(  # noqa: PLR0913 -- what a draw consists of
    name: str, places: list[int], *, ends: bool, most: int, renamed: bool, shown: bool
) -> None:
    kind = KINDS[name]
    data = bytes_of(kind, **({"stream_options": {"include_usage": True}} if kind.format is CHUNKS else {}))
    how = {"model": "alias" if renamed else "mistral", "target": "mistral", "hide_usage": not shown}
    if ends:  # each piece ends where a frame does
        places = [data.rfind(b"\n", 0, place % len(data)) + 1 for place in places]
    plainly, reader = kind.format.reader(facts(**how)), kind.format.reader(facts(**how))
    for piece in cut(data, places):
        before = state_of(plainly)
        passed = plainly.plain(piece, most) if piece else None
        if passed is None:
            assert state_of(plainly) == before, "it looked at what was not plain, and kept something"
            passed = plainly.feed(piece)
        else:
            assert not plainly.over
            assert plainly.events <= most
        assert passed == reader.feed(piece)
        assert state_of(plainly) == state_of(reader)
        if reader.over:
            break
    assert reader.over


@pytest.mark.parametrize("choices", [b"[]", b"[ ]", b"null"])
def test_zero_counts_without_a_choice_do_not_pass_for_text(choices: bytes) -> None:
    zeros = b'"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}\n\n'
    frame = b'data: {"object":"text_completion","model":"m","choices":' + choices + b"," + zeros
    reader = CHUNKS.reader(facts(hide_usage=True))
    assert reader.plain(frame, 10) is None
    assert reader.feed(frame) == b""
    assert reader.events == 0


def state_of(reader: Reader) -> tuple[object, ...]:
    """What a reader keeps from one chunk to the next."""
    return reader.events, reader.latest, bytes(reader.frames.rest), reader.usage, reader.over, reader.failure


@pytest.mark.parametrize("name", KINDS)
def test_every_single_cut_gives_the_same_frames(name: str) -> None:
    kind = KINDS[name]
    data = bytes_of(kind)
    whole_passed, whole_reader = read(kind.format, [data])
    assert whole_passed
    for place in range(0, len(data), max(1, len(data) // 700)):
        passed, reader = read(kind.format, [data[:place], data[place:]])
        assert passed == whole_passed
        assert reader.usage == whole_reader.usage


@pytest.mark.parametrize("name", KINDS)
def test_byte_by_byte_each_frame_leaves_with_its_last_byte(name: str) -> None:
    kind = KINDS[name]
    data = bytes_of(kind)
    reader = kind.format.reader(facts())
    separator = kind.format.reader.separator
    frames = 0
    for index in range(len(data)):
        passed = reader.feed(data[index : index + 1])
        assert bool(passed) == data[: index + 1].endswith(separator)
        frames += bool(passed)
        if reader.over:
            break
    assert frames > 3


@pytest.mark.parametrize("name", ["chat completions", "completions"])
@pytest.mark.parametrize("old", [0, 1])
@given(places=PLACES)
@settings(max_examples=25)
def test_counts_that_nobody_asked_for_are_not_seen(name: str, old: int, places: list[int]) -> None:
    kind = KINDS[name]
    text = f"{PROMPT.format(tool='final')} [[old={old}]]"
    plain = streamed(kind.path, **{**kind.fields, **said(kind.path, text)})
    counted = streamed(kind.path, stream_options={"include_usage": True}, **{**kind.fields, **said(kind.path, text)})
    assert plain != counted
    passed, reader = read(kind.format, cut(counted, places), hide_usage=True)
    assert passed == plain
    assert (reader.usage.prompt_tokens, reader.usage.completion_tokens) == (TOOLED if "chat" in name else (4, 14))


@pytest.mark.parametrize("name", ["generate", "chat", "generate as events", "chat completions", "completions"])
@given(after=st.integers(0, 5), places=PLACES)
@settings(max_examples=25)
def test_an_error_on_the_way_is_no_end(name: str, after: int, places: list[int]) -> None:
    kind = KINDS[name]
    data = bytes_of(kind, broken_after=after)
    separator = b"\n" if b"\ndata: " not in data and not data.startswith(b"data: ") else b"\n\n"
    sound = separator.join(data.split(separator)[:after]) + separator if after else b""
    passed, reader = read(kind.format, cut(data, places))
    assert passed == expected(kind, sound)
    assert reader.over
    assert reader.failure
    assert reader.usage.prompt_tokens is None


@pytest.mark.parametrize("name", KINDS)
@given(place=st.integers(1, 20_000))
@settings(max_examples=25)
def test_a_stream_that_just_stops_is_never_over(name: str, place: int) -> None:
    kind = KINDS[name]
    data = bytes_of(kind)
    last = data.rstrip(b"\n").rfind(kind.format.reader.separator) + len(kind.format.reader.separator)
    passed, reader = read(kind.format, [data[: place % last]])
    assert not reader.over
    assert reader.failure is None
    assert expected(kind, data).startswith(passed)


@pytest.mark.parametrize("name", KINDS)
def test_what_follows_the_end_does_not_pass(name: str) -> None:
    kind = KINDS[name]
    data = bytes_of(kind)
    for tail in (data, b"garbage\n\n", b"data: more\n\n"):
        passed, reader = read(kind.format, [data + tail])
        assert passed == expected(kind, data)
        assert reader.over


# Marks in odd places


def line(**members: Any) -> bytes:
    return json.dumps({"model": "m", **members}, separators=(",", ":")).encode() + b"\n"


ODD = [
    {"message": {"tool_calls": [{"function": {"name": "f", "arguments": {"done": True}}}]}, "done": False},
    {"message": {"tool_calls": [{"function": {"name": "f", "arguments": {"error": "x"}}}]}, "done": False},
    {"message": {"content": '"done":true'}, "done": False},
    {"message": {"content": '{"error":"x"}\n"done": true'}, "done": False},
    {"response": 'data: [DONE]\n\nevent: error\ndata: {"error":1}', "done": False},
    {"done": "true"},
    {"done": 1},
    {"logprobs": [{"done": True, "error": None}], "done": False},
]


@pytest.mark.parametrize("members", ODD)
def test_a_mark_within_a_line_is_no_end(members: dict[str, Any]) -> None:
    data = line(**members)
    passed, reader = read(LINES, [data])
    assert passed == data
    assert not reader.over


def test_the_last_line_is_known_however_it_is_written() -> None:
    for last in (
        b'{"model":"m","done":true}\n',
        b'{"done": true, "model": "m"}\n',
        b'{"message":{"content":"\\"done\\":false"},"done":true,"eval_count":3}\n',
        b'{"done":true}',
    ):
        passed, reader = read(LINES, [last])
        assert passed.strip() == last.strip()
        assert reader.over


def test_blank_lines_are_no_events() -> None:
    data = b'{"model":"m","done":false}\n\n\r\n{"model":"m","done":true}\n'
    passed, reader = read(EVENTS, [data])
    assert passed == b'data: {"model":"m","done":false}\n\ndata: {"model":"m","done":true}\n\n'
    assert reader.over


def test_a_last_line_counts_what_is_left_out_as_zero() -> None:
    _, reader = read(LINES, [b'{"model":"m","done":true,"total_duration":5}\n'])
    assert reader.usage == Usage(prompt_tokens=0, completion_tokens=0, total_duration=5)


@pytest.mark.parametrize("value", [-1, "7", 1.5, True, None, [], 10**30])
def test_a_count_that_is_none_does_not_count(value: object) -> None:
    _, reader = read(LINES, [line(done=True, eval_count=value, prompt_eval_count=2)])
    assert reader.over
    assert reader.usage.completion_tokens is None or value == 10**30


def chunk(**members: Any) -> bytes:
    return b"data: " + json.dumps({"id": "x", "model": "m", **members}, separators=(",", ":")).encode() + b"\n\n"


def text(content: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": None}]}


@pytest.mark.parametrize(
    "content", ['"usage":', "data: [DONE]\n\n", '"model":""', '{"error":{"message":"x"}}', "event: error\n", "\n\n\r\n"]
)
def test_what_a_model_says_is_never_a_mark(content: str) -> None:
    data = chunk(**text(content))
    assert read(CHUNKS, [data])[0] == data
    event = b"event: content_block_delta\n" + chunk(delta={"type": "text_delta", "text": content})
    for wire in (MESSAGES, RESPONSES):
        passed, reader = read(wire, [event])
        assert passed == event
        assert not reader.over


def test_the_frame_that_stands_for_a_lost_error_does_not_pass() -> None:
    first = chunk(**text("Hi"))
    lost = chunk(**{**text(""), "model": ""})
    passed, reader = read(CHUNKS, [first + lost + b"data: [DONE]\n\n"])
    assert passed == first
    assert reader.failure == "Ollama's answer broke off before its end."


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ({"message": "deep", "type": "api_error"}, "deep"),
        ("plain", "plain"),
        ('{"error":{"message":"nested"}}', "nested"),
        ({}, None),
        (None, None),
    ],
)
def test_an_error_within_a_stream_keeps_its_words(error: object, words: str | None) -> None:
    _, reader = read(LINES, [line(error=error)])
    assert reader.failure == (words or "Ollama's answer broke off before its end.")
    _, reader = read(MESSAGES, [b"event: error\n" + chunk(type="error", error=error)])
    assert reader.failure == (words or "Ollama's answer broke off before its end.")
    if error:
        _, reader = read(CHUNKS, [chunk(error=error)])
        assert reader.failure == words


def test_counts_beside_text_are_taken_out_of_it() -> None:
    odd = chunk(**text("Hi"), usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3})
    passed, reader = read(CHUNKS, [odd], hide_usage=True)
    assert passed == chunk(**text("Hi"))
    assert (reader.usage.prompt_tokens, reader.usage.completion_tokens) == (1, 2)
    assert read(CHUNKS, [odd])[0] == odd


@pytest.mark.parametrize("name", ["completed", "failed", "incomplete"])
def test_a_response_ends_in_more_than_one_way(name: str) -> None:
    usage = {"input_tokens": 3, "output_tokens": 4}
    event = f"event: response.{name}\n".encode() + chunk(type=f"response.{name}", response={"usage": usage})
    passed, reader = read(RESPONSES, [event])
    assert passed == event
    assert reader.over
    assert (reader.usage.prompt_tokens, reader.usage.completion_tokens) == (3, 4)
    assert reader.failed is (name == "failed")


def test_a_messages_estimate_is_not_its_count() -> None:
    start = b"event: message_start\n" + chunk(message={"usage": {"input_tokens": 99, "output_tokens": 0}})
    delta = b"event: message_delta\n" + chunk(usage={"input_tokens": 5, "output_tokens": 2})
    _, reader = read(MESSAGES, [start])
    assert reader.usage.prompt_tokens is None
    _, reader = read(MESSAGES, [start, delta])
    assert (reader.usage.prompt_tokens, reader.usage.completion_tokens) == (5, 2)
    assert not reader.over


# Aliases


@pytest.mark.parametrize("name", [name for name in KINDS if name != "pull"])
@given(places=PLACES)
@settings(max_examples=15)
def test_behind_an_alias_only_the_models_name_differs(name: str, places: list[int]) -> None:
    kind = KINDS[name]
    kind = kind._replace(fields={**kind.fields, "model": "stub-think"})
    data = bytes_of(kind)
    passed, _ = read(kind.format, cut(data, places), model="gpt-4o", target="stub-think")
    assert passed == expected(kind, data).replace(b'"model":"stub-think"', b'"model":"gpt-4o"')
    assert passed != expected(kind, data)


def test_a_name_that_a_model_says_stays() -> None:
    data = line(message={"content": '"model":"stub"', "x": {"model": "stub"}}, done=False).replace(b'"m"', b'"stub"', 1)
    passed, _ = read(LINES, [data], model="a", target="stub")
    assert passed == data.replace(b'"model":"stub"', b'"model":"a"', 1)


# Frames


@given(st.lists(st.binary(min_size=1, max_size=20).map(lambda data: data.replace(b"\n", b" ")), max_size=9), PLACES)
def test_frames_come_out_as_they_went_in(lines: list[bytes], places: list[int]) -> None:
    for separator in (b"\n", b"\n\n"):
        data = b"".join(frame + separator for frame in lines)
        frames = Frames(separator)
        assert b"".join(frames.feed(piece) for piece in cut(data, places)) == data
        assert frames.end() == b""


def test_a_frame_has_a_limit() -> None:
    frames = Frames(b"\n")
    assert frames.feed(b"x" * MAX_FRAME_BYTES) == b""
    with pytest.raises(FrameTooLong):
        frames.feed(b"x")
    assert Frames(b"\n").feed(b"x" * MAX_FRAME_BYTES + b"\n")


# Answers in one piece


@pytest.mark.parametrize("name", [name for name in KINDS if name != "pull"])
def test_an_answer_in_one_piece_counts_the_same(name: str) -> None:
    kind = KINDS[name]
    body = {**said(kind.path, PROMPT.format(tool="chunk")), **kind.fields, "stream": False}
    usage = kind.format.usage(whole(kind.path, **body))
    assert (usage.prompt_tokens, usage.completion_tokens) == {"chat": (4, 14)}.get(name, COUNTS.get(name, TOOLED))


@pytest.mark.parametrize("kind", KINDS.values())
@given(data=st.binary(max_size=60) | st.sampled_from([b'{"usage":5}', b'{"usage":{"prompt_tokens":"x"}}', b"[]"]))
@settings(max_examples=20)
def test_no_answer_breaks_the_counting(kind: Kind, data: bytes) -> None:
    usage = kind.format.usage(data)
    assert usage.prompt_tokens is None or usage.prompt_tokens >= 0


def test_an_empty_message_has_an_empty_list_for_its_content() -> None:
    nothing = b'{"id":"msg_1","content":null,"model":"m","usage":{"input_tokens":1,"output_tokens":0}}'
    assert json.loads(MESSAGES.mend(nothing)) == {**json.loads(nothing), "content": []}
    for sound in (b'{"content":[{"type":"tool_use","input":{"content":null}}]}', b'{"content":[]}', b"", b"{"):
        assert MESSAGES.mend(sound) == sound
