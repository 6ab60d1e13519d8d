"""What is asked and answered on each of Ollama's paths, in small: for the docs, and to make their schemas of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One exchange; `stream` is the streamed answer as Ollama writes it."""

    asked: dict[str, Any] | None = None
    answered: Any = None
    stream: bytes = b""


def examples(model: str) -> dict[str, Example]:
    """Returns an example for each path of Ollama's, all about that model."""
    return {**native(model), **openai(model), **anthropic(model)}


def lines(*objects: dict[str, Any]) -> bytes:
    """Writes objects as Ollama's native streams do."""
    return b"".join(orjson.dumps(each) + b"\n" for each in objects)


def events(*objects: dict[str, Any], end: bytes = b"") -> bytes:
    """Writes objects as server-sent events; those with a type carry it as the event's name."""
    named = ((b"event: %s\n" % each["type"].encode() if "type" in each else b"", each) for each in objects)
    return b"".join(name + b"data: " + orjson.dumps(each) + b"\n\n" for name, each in named) + end


NOW = "2026-01-01T12:00:00Z"
THEN = 1767268800
COUNTS = {
    "done_reason": "stop",
    "total_duration": 412000000,
    "load_duration": 9000000,
    "prompt_eval_count": 12,
    "prompt_eval_duration": 38000000,
    "eval_count": 2,
    "eval_duration": 61000000,
}
PROMPT = "Why is the sky blue?"
TALK = [{"role": "user", "content": PROMPT}]
DONE = b"data: [DONE]\n\n"


def native(model: str) -> dict[str, Example]:
    """Returns the examples of Ollama's own API."""
    said = {"model": model, "created_at": NOW}
    embedded = {"model": model, "input": [PROMPT]}
    listed = {"name": model, "model": model, "modified_at": NOW, "size": 4113301824, "digest": "6577803aa9a0"}
    return {
        "/api/generate": Example(
            asked={"model": model, "prompt": PROMPT},
            answered={**said, "response": "Because of Rayleigh scattering.", "done": True, **COUNTS},
            stream=lines(
                {**said, "response": "Because", "done": False},
                {**said, "response": " of", "done": False},
                {**said, "response": "", "done": True, **COUNTS},
            ),
        ),
        "/api/chat": Example(
            asked={"model": model, "messages": TALK},
            answered={
                **said,
                "message": {"role": "assistant", "content": "Because of Rayleigh scattering."},
                "done": True,
                **COUNTS,
            },
            stream=lines(
                {**said, "message": {"role": "assistant", "content": "Because"}, "done": False},
                {**said, "message": {"role": "assistant", "content": " of"}, "done": False},
                {**said, "message": {"role": "assistant", "content": ""}, "done": True, **COUNTS},
            ),
        ),
        "/api/embed": Example(asked=embedded, answered={"model": model, "embeddings": [[0.0101, -0.0017, 0.0501]]}),
        "/api/embeddings": Example(
            asked={"model": model, "prompt": PROMPT}, answered={"embedding": [0.0101, -0.0017, 0.0501]}
        ),
        "/api/tags": Example(answered={"models": [listed]}),
        "/api/ps": Example(answered={"models": [{**listed, "expires_at": NOW, "size_vram": 4113301824}]}),
        "/api/status": Example(answered={"cloud": {"disabled": True, "source": "config"}}),
        "/api/version": Example(answered={"version": "0.12.0"}),
        "/api/show": Example(
            asked={"model": model}, answered={"details": {"family": "llama"}, "capabilities": ["completion"]}
        ),
        "/api/pull": Example(
            asked={"model": model},
            answered={"status": "success"},
            stream=lines({"status": "pulling manifest"}, {"status": "success"}),
        ),
        "/api/create": Example(
            asked={"model": "pirate", "from": model, "system": "You are a pirate."},
            answered={"status": "success"},
            stream=lines({"status": "writing manifest"}, {"status": "success"}),
        ),
        "/api/push": Example(
            asked={"model": f"me/{model}"},
            answered={"status": "success"},
            stream=lines({"status": "pushing manifest"}, {"status": "success"}),
        ),
        "/api/copy": Example(asked={"source": model, "destination": f"{model}-copy"}),
        "/api/delete": Example(asked={"model": f"{model}-copy"}),
    }


def openai(model: str) -> dict[str, Example]:
    """Returns the examples of OpenAI's API."""
    usage = {"prompt_tokens": 12, "completion_tokens": 2, "total_tokens": 14}
    text = {"id": "cmpl-1", "object": "text_completion", "created": THEN, "model": model}
    chat = {"id": "chatcmpl-1", "created": THEN, "model": model}
    listed = {"id": model, "object": "model", "created": THEN, "owned_by": "library"}
    response = {"id": "resp_1", "object": "response", "created_at": THEN, "model": model}
    whole = {**response, "status": "completed", "output": [], "usage": {"input_tokens": 12, "output_tokens": 2}}
    return {
        "/v1/completions": Example(
            asked={"model": model, "prompt": PROMPT, "max_tokens": 32},
            answered={
                **text,
                "choices": [{"text": "Because of Rayleigh scattering.", "index": 0, "finish_reason": "stop"}],
                "usage": usage,
            },
            stream=events(
                {**text, "choices": [{"text": "Because", "index": 0, "finish_reason": None}]},
                {**text, "choices": [{"text": " of", "index": 0, "finish_reason": "stop"}]},
                end=DONE,
            ),
        ),
        "/v1/chat/completions": Example(
            asked={"model": model, "messages": TALK, "max_tokens": 32},
            answered={
                **chat,
                "object": "chat.completion",
                "choices": [
                    {"index": 0, "message": {"role": "assistant", "content": "Because."}, "finish_reason": "stop"}
                ],
                "usage": usage,
            },
            stream=events(
                {
                    **chat,
                    "object": "chat.completion.chunk",
                    "choices": [
                        {"index": 0, "delta": {"role": "assistant", "content": "Because"}, "finish_reason": None}
                    ],
                },
                {
                    **chat,
                    "object": "chat.completion.chunk",
                    "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
                },
                end=DONE,
            ),
        ),
        "/v1/embeddings": Example(
            asked={"model": model, "input": PROMPT},
            answered={
                "object": "list",
                "data": [{"object": "embedding", "index": 0, "embedding": [0.0101, -0.0017, 0.0501]}],
                "model": model,
                "usage": {"prompt_tokens": 12, "total_tokens": 12},
            },
        ),
        "/v1/audio/transcriptions": Example(
            asked={"model": model, "response_format": "json"},
            answered={"text": "Because of Rayleigh scattering."},
        ),
        "/v1/models": Example(answered={"object": "list", "data": [listed]}),
        "/v1/models/{id}": Example(answered=listed),
        "/v1/responses": Example(
            asked={"model": model, "input": PROMPT},
            answered=whole,
            stream=events(
                {"type": "response.created", "response": {**response, "status": "in_progress"}},
                {"type": "response.output_text.delta", "delta": "Because"},
                {"type": "response.completed", "response": whole},
            ),
        ),
    }


def anthropic(model: str) -> dict[str, Example]:
    """Returns the examples of Anthropic's API."""
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": model}
    asked = {"model": model, "messages": TALK}
    return {
        "/v1/messages": Example(
            asked={**asked, "max_tokens": 32},
            answered={
                **message,
                "content": [{"type": "text", "text": "Because of Rayleigh scattering."}],
                "stop_reason": "end_turn",
                "usage": {"input_tokens": 12, "output_tokens": 2},
            },
            stream=events(
                {"type": "message_start", "message": {**message, "content": []}},
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Because"}},
                {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
                {"type": "message_stop"},
            ),
        ),
        "/v1/messages/count_tokens": Example(asked=asked, answered={"input_tokens": 12, "estimated": True}),
    }
