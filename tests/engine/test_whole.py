"""A streamed answer put together again."""

from __future__ import annotations

import pytest

from engine import whole
from engine.errors import Refusal

HEAD = {"id": "c1", "created": 1, "model": "smollm2:135m", "system_fingerprint": "f"}
MESSAGE = {"id": "m1", "type": "message", "role": "assistant", "content": [], "usage": {"input_tokens": 3}}


def chunk(delta: whole.Event, reason: str | None = None) -> whole.Event:
    return {**HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def test_chat_chunks_become_one_completion_with_its_usage() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    parts = [chunk({"role": "assistant", "content": None}), chunk({"content": "Hé"}), chunk({"content": "!"})]
    answer = whole.chat([*parts, chunk({}, "length"), {**HEAD, "choices": [], "usage": usage}])
    assert answer["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": "Hé!"}, "finish_reason": "length"}
    ]
    assert answer["usage"] == usage
    assert answer["object"] == "chat.completion"


def test_a_message_gets_its_text_its_reason_and_its_usage() -> None:
    answer = whole.message(
        [
            {"type": "message_start", "message": MESSAGE},
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hi"}},
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "!"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
            {"type": "message_stop"},
        ]
    )
    assert answer["content"] == [{"type": "text", "text": "Hi!"}]
    assert answer["stop_reason"] == "end_turn"
    assert answer["usage"] == {"input_tokens": 3, "output_tokens": 2}


def test_a_message_without_text_has_an_empty_list_of_contents() -> None:
    ended = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 0}}
    assert whole.message([{"type": "message_start", "message": MESSAGE}, ended])["content"] == []


def test_a_response_is_what_the_last_event_carries() -> None:
    assert whole.response([{"type": "response.created"}, {"type": "response.completed", "response": {"id": "r"}}]) == {
        "id": "r"
    }


@pytest.mark.parametrize(
    ("assemble", "events"),
    [
        (whole.chat, [chunk({"content": "Hi"})]),
        (whole.completion, [{**HEAD, "choices": [{"text": "Hi", "finish_reason": None}]}]),
        (whole.response, [{"type": "response.created"}]),
        (whole.message, [{"type": "message_start", "message": MESSAGE}]),
        (whole.chat, []),
    ],
)
def test_a_stream_that_was_cut_is_an_error_and_never_an_answer(assemble: object, events: list[whole.Event]) -> None:
    assert callable(assemble)
    with pytest.raises(Refusal) as refused:
        assemble(events)
    assert refused.value.status == 500
