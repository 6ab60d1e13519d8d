"""A guess at a prompt's tokens: what stands where decides what is text and what is a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy import shapes
from proxy.estimate import TOKENS_A_FILE, characters, prompt_tokens, tokens_of
from proxy.shapes import Shape
from tests.dialects.asked import decided
from tests.dialects.front import House
from tests.harness import GatewayServer
from tests.proxy.wire import Client

PDF = "data:application/pdf;base64," + "JVBERi0x" * 56_000  # 450 KB
TEXT = "abcd" * 1000
SAID = {"type": "text", "text": "abcd"}
# Content parts that are files in one dialect or another.
FILES: list[dict[str, Any]] = [
    {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}},
    {"type": "input_file", "filename": "a.pdf", "file_data": PDF},
    {"type": "input_image", "image_url": PDF, "detail": "auto"},
    {"type": "image_url", "image_url": {"url": PDF}},
    {"type": "image_url", "image_url": PDF},
    {"type": "input_audio", "input_audio": {"data": PDF, "format": "wav"}},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PDF}},
    {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}, "title": "a"},
    {"type": "video_url", "video_url": {"url": PDF}},
    {"type": "hologram", "hologram": {"data": PDF}},
]
# Parts and messages whose text stands in fields that elsewhere hold files.
TEXTS: list[dict[str, Any]] = [
    {"type": "tool_use", "id": "1", "name": "write", "input": {"data": TEXT}},
    {"type": "tool_use", "id": "1", "name": "write", "input": {"file": {"source": TEXT}}},
    {"type": "tool_use", "id": "1", "name": "write", "input": {"images": [TEXT]}},
    {"type": "tool_result", "tool_use_id": "1", "content": TEXT},
    {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": TEXT}]},
    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": TEXT}},
    {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": TEXT}]}},
    {
        "type": "search_result",
        "source": "https://example.org",
        "title": "t",
        "content": [{"type": "text", "text": TEXT}],
    },
    {"type": "thinking", "thinking": TEXT, "signature": "A" * 9000},
]
CALLS = [
    {"function": {"name": "write", "arguments": {"data": TEXT}}},
    {"function": {"name": "write", "arguments": {"images": [TEXT], "source": {"image_url": "x"}}}},
    {"id": "1", "type": "function", "function": {"name": "write", "arguments": json.dumps({"data": TEXT})}},
]


def messages(*parts: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": list(parts)}]}


def estimated(shape: Shape, body: dict[str, Any]) -> int:
    return decided(shape, body).prompt_estimate


def test_four_characters_are_a_token() -> None:
    assert [tokens_of(count) for count in (0, 1, 4, 5, 8)] == [0, 1, 1, 2, 2]


def test_all_texts_of_a_conversation_count() -> None:
    messages = [
        {"role": "user", "content": "12345678"},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": {"x": "1"}}}]},
    ]
    assert characters(messages) == len("user12345678assistantf1")


def test_files_are_no_text() -> None:
    parts = [
        {"type": "text", "text": "abcd"},
        {"type": "image_url", "image_url": {"url": "data:" + "A" * 1000}},
        {"type": "input_audio", "input_audio": {"data": "A" * 1000, "format": "wav"}},
        {"type": "image", "source": {"type": "base64", "data": "A" * 1000}},
    ]
    assert characters([{"images": ["A" * 1000], "content": parts}]) == len("textabcdimage_urlinput_audioimage")


@pytest.mark.parametrize("part", FILES, ids=lambda part: part["type"])
@pytest.mark.parametrize("shape", [shapes.CHAT_COMPLETIONS, shapes.MESSAGES, shapes.COUNT_TOKENS])
def test_a_file_in_a_message_counts_as_one_whatever_its_size(shape: Shape, part: dict[str, Any]) -> None:
    plain = estimated(shape, messages(SAID))
    assert plain + TOKENS_A_FILE <= estimated(shape, messages(SAID, part)) <= plain + TOKENS_A_FILE + 10
    nested = {"type": "tool_result", "tool_use_id": "1", "content": [SAID, part]}
    assert estimated(shape, messages(nested)) < TOKENS_A_FILE + 20


@pytest.mark.parametrize("part", FILES, ids=lambda part: part["type"])
def test_a_file_in_an_item_counts_as_one_whatever_its_size(part: dict[str, Any]) -> None:
    for item in (
        {"type": "message", "role": "user", "content": [part]},
        {"type": "function_call_output", "call_id": "1", "output": [part]},
        {"type": "computer_call_output", "call_id": "1", "output": part},
    ):
        assert TOKENS_A_FILE <= estimated(shapes.RESPONSES, {"model": "m", "input": [item]}) < TOKENS_A_FILE + 20


def test_images_of_ollamas_own_requests_count_one_by_one() -> None:
    images = ["A" * 4000] * 3
    assert estimated(shapes.GENERATE, {"model": "m", "prompt": "abcd", "images": images}) == 1 + 3 * TOKENS_A_FILE
    body = {"model": "m", "messages": [{"role": "user", "content": "abcd", "images": images}]}
    assert estimated(shapes.CHAT, body) == 2 + 3 * TOKENS_A_FILE


@pytest.mark.parametrize("part", TEXTS, ids=lambda part: part["type"])
@pytest.mark.parametrize("shape", [shapes.MESSAGES, shapes.COUNT_TOKENS])
def test_a_text_counts_whatever_its_field_is_called(shape: Shape, part: dict[str, Any]) -> None:
    assert len(TEXT) // 4 <= estimated(shape, messages(part)) < len(TEXT) // 4 + 30


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("shape", [shapes.CHAT, shapes.CHAT_COMPLETIONS])
def test_a_tools_arguments_are_text(shape: Shape, call: dict[str, Any]) -> None:
    body = {"model": "m", "messages": [{"role": "assistant", "content": "", "tool_calls": [call]}]}
    assert len(TEXT) // 4 <= estimated(shape, body) < len(TEXT) // 4 + 30


def test_an_items_arguments_are_text() -> None:
    for item in (
        {"type": "function_call", "call_id": "1", "name": "write", "arguments": json.dumps({"data": TEXT})},
        {"type": "function_call_output", "call_id": "1", "output": TEXT},
    ):
        assert len(TEXT) // 4 <= estimated(shapes.RESPONSES, {"model": "m", "input": [item]}) < len(TEXT) // 4 + 30


@pytest.mark.parametrize("shape", [shapes.CHAT, shapes.CHAT_COMPLETIONS, shapes.MESSAGES, shapes.COUNT_TOKENS])
def test_the_declarations_of_tools_are_text(shape: Shape) -> None:
    schema = {"type": "object", "properties": {"data": {"type": "string", "description": TEXT}, "images": {}}}
    tool = {"type": "function", "name": "f", "input_schema": schema, "function": {"name": "f", "parameters": schema}}
    plain = estimated(shape, messages("abcd"))
    twice = 2 * len(TEXT) // 4
    assert plain + twice <= estimated(shape, {**messages("abcd"), "tools": [tool]}) < plain + twice + 80


def test_the_tokens_of_an_earlier_answer_count_one_by_one() -> None:
    assert estimated(shapes.GENERATE, {"model": "m", "prompt": "abcd", "context": [1, 2, 3]}) == 4


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=9))
def test_any_json_has_a_length(value: object) -> None:
    assert characters(value) >= 0


NAMES = ["type", "content", "source", "data", "images", "file", "input", "tool_calls", "output", "text", "messages"]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(NAMES) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


@given(anything, st.sampled_from(["messages", "tools", "context", "images", "prompt", "input", "system"]))
def test_whatever_stands_in_a_prompt_is_estimated_within_bounds(value: object, field: str) -> None:
    tokens = prompt_tokens({field: value}, (field,))
    written = json.dumps(value, ensure_ascii=False)
    assert 0 <= tokens <= len(written) * TOKENS_A_FILE


def test_a_file_fits_a_budget_that_its_base64_would_not(
    house: House, make_gateway: Callable[..., GatewayServer]
) -> None:
    server = make_gateway(DEFAULT_TOKENS_PER_DAY=50_000)
    bodies = {
        "/v1/chat/completions": messages(SAID, FILES[3]),
        "/v1/messages": messages(SAID, FILES[6]),
        "/api/chat": {"messages": [{"role": "user", "content": "abcd", "images": ["JVBERi0x" * 56_000]}]},
    }
    for path, body in bodies.items():
        with Client(server) as client:
            client.ask(path, {**body, "model": "stub"})
            assert client.answer().status == 200, path
    with Client(server) as client:
        said = [{"role": "user", "content": "word " * 60_000}]
        client.ask("/api/chat", {"model": "stub-num1000000-trained1000000", "messages": said})
        assert client.answer().status == 429
    text = messages({"type": "tool_use", "id": "1", "name": "write", "input": {"data": TEXT}})
    assert house.ask("/v1/messages/count_tokens", text).json()["input_tokens"] >= len(TEXT) // 4
