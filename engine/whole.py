"""Puts the events of a stream together into the one object of an answer that was not asked to be streamed."""

from __future__ import annotations

from typing import Any

from engine.errors import Refusal

Event = dict[str, Any]


def chat(events: list[Event]) -> Event:
    """Returns the `chat.completion` that the chunks spell."""
    choices = [choice for event in events for choice in event.get("choices") or []]
    content = "".join(choice["delta"].get("content") or "" for choice in choices)
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content},
        "finish_reason": last_reason(choices),
    }
    return _openai(events, "chat.completion", choice)


def completion(events: list[Event]) -> Event:
    """Returns the `text_completion` that the chunks spell."""
    choices = [choice for event in events for choice in event.get("choices") or []]
    text = "".join(choice.get("text") or "" for choice in choices)
    choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": last_reason(choices)}
    return _openai(events, "text_completion", choice)


def response(events: list[Event]) -> Event:
    """Returns the response object that the last event of a responses stream carries."""
    for event in reversed(events):
        if event.get("type") == "response.completed":
            completed: Event = event["response"]
            return completed
    raise cut()


def message(events: list[Event]) -> Event:
    """Returns the Anthropic message that the events spell."""
    started: Event | None = None
    ended: Event | None = None
    texts: list[str] = []
    for event in events:
        if event["type"] == "message_start":
            started = event["message"]
        elif event["type"] == "content_block_delta":
            texts.append(event["delta"].get("text") or "")
        elif event["type"] == "message_delta":
            ended = event
    if started is None or ended is None:
        raise cut()
    text = "".join(texts)
    content = [{"type": "text", "text": text}] if text else []
    return {**started, "content": content, **ended["delta"], "usage": {**started["usage"], **ended["usage"]}}


def last_reason(choices: list[Event]) -> str:
    """Returns why the generation ended.

    Raises Refusal(500) when it never did.
    """
    for choice in reversed(choices):
        if choice.get("finish_reason"):
            return str(choice["finish_reason"])
    raise cut()


def cut() -> Refusal:
    """Returns the error for a stream that ended too early."""
    return Refusal(500, "the demo model stopped in the middle of its answer: try again")


def _openai(events: list[Event], kind: str, choice: Event) -> Event:
    last = events[-1]
    head = {"id": last["id"], "object": kind, "created": last["created"], "model": last["model"]}
    usage = next((event["usage"] for event in reversed(events) if event.get("usage")), None)
    return {**head, "system_fingerprint": last["system_fingerprint"], "choices": [choice], "usage": usage}
