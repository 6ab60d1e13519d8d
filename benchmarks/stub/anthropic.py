"""Anthropic's dialect as Ollama speaks it: /v1/messages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchmarks.stub.answer import SSE, Stream, Whole
from benchmarks.stub.asking import Asked, Run, Translated, check_abilities, model_of
from benchmarks.stub.gojson import Struct, encode
from benchmarks.stub.openai import number
from benchmarks.stub.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADERS = (("Cache-Control", "no-cache"), ("Connection", "keep-alive"))
CHARACTERS_A_TOKEN = 4
STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "load": "stop_sequence"}
TEXT_KEYS = ("text", "thinking", "content")


def event(data: dict[str, Any]) -> bytes:
    """Writes one event, named by its type."""
    return b"event: " + str(data["type"]).encode() + b"\ndata: " + encode(data) + b"\n\n"


class Messages(Translated):
    """/v1/messages."""

    def read(self, body: Struct) -> Asked:
        """Reads a request; raises Refusal."""
        model = body.text("model")
        if not model:
            raise Refusal(400, "model is required")
        cap = body.number("max_tokens")
        if cap is None or cap <= 0:
            raise Refusal(400, "max_tokens is required and must be positive")
        messages = [message for message in body.list("messages") if isinstance(message, Struct)]
        if not messages:
            raise Refusal(400, "messages is required")
        said = [(message.text("role").lower(), text_of(message.field("content"))) for message in messages]
        users = [text for role, text in said if role == "user"]
        texts = [text_of(body.field("system")), *(text for _role, text in said)]
        name = model_of(model, absent=Refusal(400, "model is required"))
        tools = [tool.text("name") for tool in body.list("tools") if isinstance(tool, Struct)]
        asked = Asked(
            model=model,
            name=name,
            stream=bool(body.flag("stream")),
            texts=texts,
            last=users[-1] if users else "",
            cap=cap,
            think=body.object("thinking").text("type") == "enabled" and name.thinks,
            tools=tools,
            load="" if any(texts) else "load",
        )
        check_abilities(asked, "chat")
        return asked

    def whole(self, run: Run) -> Whole:
        """Writes a run as one message; content is null when nothing was said."""
        content: list[dict[str, Any]] = []
        if run.thoughts:
            content.append({"type": "thinking", "thinking": run.thinking})
        if run.text:
            content.append({"type": "text", "text": run.text})
        content += [
            {"type": "tool_use", "id": tool.call_id, "name": tool.name, "input": tool.arguments} for tool in run.tools
        ]
        message = self._message(run.model, number(run)) | {"content": content or None}
        return Whole(
            encode(message | {"stop_reason": stop_reason(run), "usage": usage(run)}),
            content_type="application/json",
        )

    def stream(self, run: Run) -> Stream:
        """Writes a run as events; an error on the way leaves no trace but the missing end."""
        pieces = list(self._blocks(run)) if not run.knobs.endless else None
        closing: tuple[bytes, ...] = ()
        if pieces is not None:
            pieces, closing = pieces[:-1], pieces[-1]
        end = event({"type": "message_delta", "delta": {"stop_reason": stop_reason(run)}, "usage": usage(run)})
        return Stream(
            chunks=self._blocks(run) if pieces is None else pieces,
            ending=(*closing, end, event({"type": "message_stop"})),
            broken=(),
            content_type=SSE,
            headers=HEADERS,
        )

    def _blocks(self, run: Run) -> Iterator[tuple[bytes, ...]]:
        """Yields a tuple of events for each token; what opens or closes a block rides with the next token."""
        estimate = sum(len(text) for text in run.asked.texts) // CHARACTERS_A_TOKEN
        message = self._message(run.model, number(run)) | {"usage": {"input_tokens": estimate, "output_tokens": 0}}
        held: tuple[bytes, ...] = (event({"type": "message_start", "message": message}),)
        index = -1
        for kind, blank, deltas in self._parts(run):
            opened = False
            for delta in deltas:
                if not opened:
                    index += 1
                    opened = True
                    start = {"type": "content_block_start", "index": index, "content_block": {"type": kind, **blank}}
                    held += (event(start),)
                yield (*held, event({"type": "content_block_delta", "index": index, "delta": delta}))
                held = ()
            if opened:
                held = (event({"type": "content_block_stop", "index": index}),)
        yield held

    def _parts(self, run: Run) -> Iterator[tuple[str, dict[str, Any], Iterator[dict[str, Any]]]]:
        yield "thinking", {"thinking": ""}, ({"type": "thinking_delta", "thinking": text} for text in run.thoughts)
        yield "text", {"text": ""}, ({"type": "text_delta", "text": text} for text in run.tokens)
        for tool in run.tools:
            arguments = json.dumps(tool.arguments, separators=(",", ":"))
            delta = {"type": "input_json_delta", "partial_json": arguments}
            yield "tool_use", {"id": tool.call_id, "name": tool.name, "input": {}}, iter((delta,))

    def _message(self, model: str, run_number: int) -> dict[str, Any]:
        head = {"id": f"msg_{run_number:024x}", "type": "message", "role": "assistant", "model": model}
        return head | {"content": []}


def usage(run: Run) -> dict[str, int]:
    """Returns the counts; `input_tokens` leaves out what came from the cache or went into it, where that is known."""
    if run.cached is None:
        return {"input_tokens": run.prompt_count, "output_tokens": run.eval_count}
    created = min(run.knobs.created, run.prompt_count - run.cached)
    return {
        "input_tokens": run.prompt_count - run.cached - created,
        "output_tokens": run.eval_count,
        "cache_creation_input_tokens": created,
        "cache_read_input_tokens": run.cached,
    }


def stop_reason(run: Run) -> str:
    """Returns Anthropic's word for how a run ended."""
    return "tool_use" if run.tools else STOP_REASONS[run.reason]


def text_of(value: object) -> str:
    """Reads the text of a string or of content blocks."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return ""
    blocks = [block for block in value if isinstance(block, Struct)]
    found = (next((block.field(key) for key in TEXT_KEYS if block.field(key)), "") for block in blocks)
    return " ".join(text_of(text) for text in found)
