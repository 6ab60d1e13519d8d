"""A guess at a prompt's tokens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.estimate import characters, tokens_of


def test_four_characters_are_a_token() -> None:
    assert [tokens_of(count) for count in (0, 1, 4, 5, 8)] == [0, 1, 1, 2, 2]


def test_all_texts_of_a_conversation_count() -> None:
    messages = [
        {"role": "user", "content": "12345678"},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": {"x": "1"}}}]},
    ]
    assert characters(messages) == len("user12345678assistantf1")


def test_media_are_no_text() -> None:
    parts = [
        {"type": "text", "text": "abcd"},
        {"type": "image_url", "image_url": {"url": "data:" + "A" * 1000}},
        {"type": "input_audio", "input_audio": {"data": "A" * 1000, "format": "wav"}},
        {"type": "image", "source": {"type": "base64", "data": "A" * 1000}},
    ]
    assert characters([{"images": ["A" * 1000], "content": parts}]) == len("textabcdimage_urlinput_audioimage")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=9))
def test_any_json_has_a_length(value: object) -> None:
    assert characters(value) >= 0
