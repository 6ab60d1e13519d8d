"""OpenAI's newer dialect as Ollama speaks it: /v1/responses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchmarks.stub.answer import SSE, Stream, Whole
from benchmarks.stub.anthropic import HEADERS, text_of
from benchmarks.stub.asking import Asked, Run, ToolCall, Translated, check_abilities, model_of
from benchmarks.stub.gojson import Struct, encode
from benchmarks.stub.openai import CREATED, effort, number
from benchmarks.stub.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Numbered = Callable[..., bytes]

ITEM_TYPES = ("", "message", "function_call", "function_call_output", "reasoning", "web_search_call")


class Responses(Translated):
    """/v1/responses."""

    def read(self, body: Struct) -> Asked:
        """Reads a request; raises Refusal."""
        model = body.text("model")
        said = list(spoken(body.field("input")))
        users = [text for role, text in said if role == "user"]
        texts = [body.text("instructions"), *(text for _role, text in said)]
        tools = [tool for tool in body.list("tools") if isinstance(tool, Struct)]
        asked = Asked(
            model=model,
            name=model_of(model, absent=Refusal(400, "model is required")),
            stream=bool(body.flag("stream")),
            texts=texts,
            last=users[-1] if users else "",
            cap=body.number("max_output_tokens"),
            think=effort(body),
            tools=[tool.text("name") for tool in tools if tool.text("type") == "function"],
            load="" if any(texts) else "load",
        )
        check_abilities(asked, "chat")
        return asked

    def whole(self, run: Run) -> Whole:
        """Writes a run as one response, `completed` whatever happened."""
        return Whole(encode(self._response(run, run.text, "completed")), content_type="application/json")

    def stream(self, run: Run) -> Stream:
        """Writes a run as numbered events with sorted keys."""
        sequence = iter(range(2**62))

        def numbered(kind: str, **members: object) -> bytes:
            data = {**members, "sequence_number": next(sequence), "type": kind}
            return f"event: {kind}\n".encode() + b"data: " + encode(dict(sorted(data.items()))) + b"\n\n"

        pieces = self._pieces(run, numbered)
        if run.knobs.endless:
            return Stream(pieces, (), (), SSE, HEADERS)
        *chunks, ending = list(pieces)
        return Stream(chunks, ending, (), SSE, HEADERS)

    def _pieces(self, run: Run, numbered: Numbered) -> Iterator[tuple[bytes, ...]]:
        """Yields a tuple of events for each token, and at last the ending."""
        opening = self._response(run, "", "in_progress")
        held: tuple[bytes, ...] = (
            numbered("response.created", response=opening),
            numbered("response.in_progress", response=opening),
        )
        index = 0
        if run.thoughts:
            where = {"item_id": "rs_1", "output_index": index, "summary_index": 0}
            item = {"id": "rs_1", "summary": [], "type": "reasoning"}
            held += (numbered("response.output_item.added", item=item, output_index=index),)
            for thought in run.thoughts:
                yield (*held, numbered("response.reasoning_summary_text.delta", delta=thought, **where))
                held = ()
            done = reasoning(run)
            held = (
                numbered("response.reasoning_summary_text.done", text=run.thinking, **where),
                numbered("response.output_item.done", item=done, output_index=index),
            )
            index += 1
        text = ""
        spot = {"content_index": 0, "item_id": "msg_1", "output_index": index}
        for token in run.tokens:
            if not text:
                held += (
                    numbered("response.output_item.added", item=message("", "in_progress"), output_index=index),
                    numbered("response.content_part.added", part=part(""), **spot),
                )
            yield (*held, numbered("response.output_text.delta", delta=token, logprobs=[], **spot))
            held = ()
            text = text + token if not run.knobs.endless else "…"
        if text:
            held += (
                numbered("response.output_text.done", logprobs=[], text=text, **spot),
                numbered("response.content_part.done", part=part(text), **spot),
                numbered("response.output_item.done", item=message(text, "completed"), output_index=index),
            )
            index += 1
        for tool in run.tools:
            item = function_call(tool)
            call = {"item_id": item["id"], "output_index": index}
            started = item | {"arguments": "", "status": "in_progress"}
            held += (numbered("response.output_item.added", item=started, output_index=index),)
            yield (*held, numbered("response.function_call_arguments.delta", delta=item["arguments"], **call))
            held = (
                numbered("response.function_call_arguments.done", arguments=item["arguments"], **call),
                numbered("response.output_item.done", item=item, output_index=index),
            )
            index += 1
        yield (*held, numbered("response.completed", response=self._response(run, text, "completed")))

    def _response(self, run: Run, text: str, status: str) -> dict[str, Any]:
        output: list[dict[str, Any]] = []
        if status == "completed":
            output += [reasoning(run)] if run.thoughts else []
            output += [message(text, "completed")] if text else []
            output += [function_call(tool) for tool in run.tools]
        return response(run.model, number(run), output, (run.prompt_count, run.eval_count, run.cached or 0), status)


def response(
    model: str, run_number: int, output: list[dict[str, Any]], counts: tuple[int, int, int], status: str
) -> dict[str, Any]:
    """Writes the response object; usage is null until it is completed."""
    prompt, completion, cached = counts
    usage = {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": prompt + completion,
    }
    return {
        "id": f"resp_{run_number}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "model": model,
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage if status == "completed" else None,
    }


def message(text: str, status: str) -> dict[str, Any]:
    """Writes the item that carries the text."""
    content = [part(text)] if text else []
    return {"id": "msg_1", "type": "message", "status": status, "role": "assistant", "content": content}


def part(text: str) -> dict[str, Any]:
    """Writes a part of text."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def reasoning(run: Run) -> dict[str, Any]:
    """Writes the item that carries the thinking."""
    return {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": run.thinking}]}


def function_call(tool: ToolCall) -> dict[str, Any]:
    """Writes the item of a tool call."""
    arguments = json.dumps(tool.arguments, separators=(",", ":"))
    head = {"id": "fc_" + tool.call_id, "type": "function_call", "status": "completed", "call_id": tool.call_id}
    return head | {"name": tool.name, "arguments": arguments}


def spoken(value: object) -> Iterator[tuple[str, str]]:
    """Yields role and text of each item of the input; raises Refusal (400) for what Ollama doesn't know."""
    if isinstance(value, str):
        yield "user", value
        return
    if not isinstance(value, list):
        raise Refusal(400, "input is required")
    for item in value:
        if not isinstance(item, Struct) or item.text("type") not in ITEM_TYPES:
            raise Refusal(400, "unknown input item type")
        if item.text("type") in ("", "message"):
            yield item.text("role").lower() or "user", text_of(item.field("content"))
        elif item.text("type") == "function_call_output":
            yield "tool", text_of(item.field("output"))
