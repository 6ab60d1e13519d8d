"""OpenAI's dialect as Ollama speaks it: /v1/chat/completions and /v1/completions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from zlib import crc32

from benchmarks.stub.answer import SSE, Stream, Whole
from benchmarks.stub.asking import Asked, Run, ToolCall, Translated, check_abilities, model_of
from benchmarks.stub.gojson import Struct, encode
from benchmarks.stub.native import tool_names
from benchmarks.stub.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

CREATED = 1767323045
FINGERPRINT = "fp_ollama"
DONE = b"data: [DONE]\n\n"
EFFORTS = ("none", "minimal", "low", "medium", "high", "max", "xhigh", "ultra")
IDS = 7  # few, so that they collide
NO_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def frame(value: object) -> bytes:
    """Writes one event of data alone."""
    return b"data: " + encode(value) + b"\n\n"


def number(run: Run) -> int:
    """Returns the number in a run's id: the same for the same request, and shared by many."""
    return crc32(repr((run.model, run.asked.texts)).encode()) % IDS


def usage(run: Run, completion: int | None = None) -> dict[str, Any]:
    """Returns the counts in OpenAI's names, those of the whole answer unless told how much is written."""
    prompt, completion = run.prompt_count, run.eval_count if completion is None else completion
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return counts if run.cached is None else counts | {"prompt_tokens_details": {"cached_tokens": run.cached}}


def zeros(run: Run) -> dict[str, Any]:
    """Returns the counts of a completion's frames before the last."""
    return NO_USAGE if run.cached is None else NO_USAGE | {"prompt_tokens_details": {"cached_tokens": 0}}


class ChatCompletions(Translated):
    """/v1/chat/completions."""

    def read(self, body: Struct) -> Asked:
        """Reads a request; raises Refusal."""
        model = body.text("model")
        messages = [message for message in body.list("messages") if isinstance(message, Struct)]
        if not messages:
            raise Refusal(400, "[] is too short - 'messages'")
        said = [(message.text("role").lower(), content(message)) for message in messages]
        users = [text for role, text in said if role == "user"]
        texts = [text for _role, text in said]
        asked = Asked(
            model=model,
            name=model_of(model, absent=Refusal(400, "model is required")),
            stream=bool(body.flag("stream")),
            texts=texts,
            last=users[-1] if users else "",
            cap=body.number("max_tokens"),
            think=effort(body),
            tools=tool_names(body),
            include_usage=bool(body.object("stream_options").flag("include_usage")),
            load="" if any(texts) else "load",
        )
        check_abilities(asked, "chat")
        return asked

    def whole(self, run: Run) -> Whole:
        """Writes a run as one object and a newline."""
        message: dict[str, Any] = {"role": "assistant", "content": run.text}
        if run.thoughts:
            message["reasoning"] = run.thinking
        if run.tools:
            message["tool_calls"] = calls(run.tools)
        choice = {"index": 0, "message": message, "finish_reason": None if run.cut_short else finish(run)}
        head = self._head("chat.completion", number(run), run.model)
        counts = NO_USAGE if run.cut_short else usage(run)
        return Whole(encode(head | {"choices": [choice], "usage": counts}) + b"\n", content_type="application/json")

    def stream(self, run: Run) -> Stream:
        """Writes a run as chunks; finish, usage and [DONE] are flushed together."""
        old = bool(run.knobs.old)
        last = {"role": "assistant", "content": ""} if old else {}
        beside = usage(run) if run.knobs.counts else None
        ending = self._chunk(
            run,
            last | ({"tool_calls": calls(run.tools)} if run.tools_last and run.tools else {}),
            finish(run),
            counts=beside,
        )
        if run.asked.include_usage and not beside:
            ending += frame(
                self._head("chat.completion.chunk", number(run), run.model) | {"choices": [], "usage": usage(run)}
            )
        return Stream(
            chunks=((chunk,) for chunk in self._chunks(run, old=old)),
            ending=(ending + DONE,),
            broken=(self._chunk(run, {"content": ""}, None, model=""),),
            content_type=SSE,
        )

    def _chunks(self, run: Run, *, old: bool) -> Iterator[bytes]:
        role = {"role": "assistant"}
        for index, delta in enumerate(self._deltas(run)):
            counts = usage(run, index + 1) if run.knobs.counts == "running" else None
            told = role | delta if old or index == 0 else delta
            yield self._chunk(run, told, None, age=index if old else 0, counts=counts)

    def _deltas(self, run: Run) -> Iterator[dict[str, Any]]:
        for thought in run.thoughts:
            yield {"content": "", "reasoning": thought}
        for token in run.tokens:
            yield {"content": token}
        if run.tools and not run.tools_last:
            yield {"content": "", "tool_calls": calls(run.tools)}

    def _chunk(  # noqa: PLR0913 -- what a chunk has
        self,
        run: Run,
        delta: dict[str, Any],
        reason: str | None,
        *,
        model: str | None = None,
        age: int = 0,
        counts: dict[str, Any] | None = None,
    ) -> bytes:
        head = self._head("chat.completion.chunk", number(run), run.model if model is None else model, age)
        choices = {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
        return frame(head | choices | ({"usage": counts} if counts else {}))

    def _head(self, kind: str, run_number: int, model: str, age: int = 0) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{run_number}",
            "object": kind,
            "created": CREATED + age,
            "model": model,
            "system_fingerprint": FINGERPRINT,
        }


class Completions(Translated):
    """/v1/completions."""

    def read(self, body: Struct) -> Asked:
        """Reads a request; raises Refusal."""
        model = body.text("model")
        prompt = body.text("prompt")
        asked = Asked(
            model=model,
            name=model_of(model, absent=Refusal(404, "model '' not found")),
            stream=bool(body.flag("stream")),
            texts=[prompt, body.text("suffix")],
            last=prompt,
            cap=body.number("max_tokens"),
            include_usage=bool(body.object("stream_options").flag("include_usage")),
            load="" if prompt else "load",
        )
        check_abilities(asked, "generate")
        return asked

    def whole(self, run: Run) -> Whole:
        """Writes a run as one object and a newline."""
        reason = None if run.cut_short else finish(run)
        body = self._body(number(run), run.model, run.text, reason)
        counts = NO_USAGE if run.cut_short else usage(run)
        return Whole(
            encode(body | {"object": "text_completion", "usage": counts}) + b"\n", content_type="application/json"
        )

    def stream(self, run: Run) -> Stream:
        """Writes a run as chunks; with include_usage each carries zeros and one more the counts."""
        zero = {"usage": zeros(run)} if run.asked.include_usage else {}
        count = number(run)
        beside = {"usage": usage(run)} if run.knobs.counts else {}
        ending = frame(self._body(count, run.model, "", finish(run)) | (beside or zero))
        if zero and not beside:
            ending += frame(self._body(count, run.model, "", None) | {"choices": [], "usage": usage(run)})
        texts = (text for part in ((("") for _ in run.thoughts), run.tokens) for text in part)
        return Stream(
            chunks=((frame(self._body(count, run.model, text, None) | zero),) for text in texts),
            ending=(ending + DONE,),
            broken=(frame(self._body(count, "", "", None) | zero),),
            content_type=SSE,
        )

    def _body(self, run_number: int, model: str, text: str, reason: str | None) -> dict[str, Any]:
        return {
            "id": f"cmpl-{run_number}",
            "object": "text_completion",
            "created": CREATED,
            "choices": [{"text": text, "index": 0, "finish_reason": reason}],
            "model": model,
            "system_fingerprint": FINGERPRINT,
        }


def finish(run: Run) -> str:
    """Returns the finish reason: tool calls replace an ordinary stop."""
    return "tool_calls" if run.tools and run.reason == "stop" else run.reason


def calls(tools: list[ToolCall]) -> list[dict[str, Any]]:
    """Writes tool calls with their arguments as a JSON string."""
    return [
        {
            "id": tool.call_id,
            "index": index,
            "type": "function",
            "function": {"name": tool.name, "arguments": json.dumps(tool.arguments, separators=(",", ":"))},
        }
        for index, tool in enumerate(tools)
    ]


def content(message: Struct) -> str:
    """Reads a message's text from a string or from parts; raises Refusal (400)."""
    value = message.field("content")
    if isinstance(value, str):
        return value
    if value is None:
        if message.list("tool_calls"):
            return ""
        raise Refusal(400, "invalid message content type: <nil>")
    if not isinstance(value, list):
        raise Refusal(400, "invalid message content type")
    parts = [part for part in value if isinstance(part, Struct)]
    for part in parts:
        if part.text("type") == "image_url":
            check_image(part)
    return " ".join(part.text("text") for part in parts if part.text("type") == "text")


def check_image(part: Struct) -> None:
    """Raises Refusal (400) for an image that is not inline."""
    image = part.field("image_url")
    url = image.text("url") if isinstance(image, Struct) else image
    if not isinstance(url, str) or not url.startswith("data:") or ";base64," not in url:
        raise Refusal(400, "invalid image input")


def effort(body: Struct) -> bool | None:
    """Reads reasoning.effort or reasoning_effort; raises Refusal (400) for an unknown one."""
    value = body.object("reasoning").text("effort") or body.text("reasoning_effort")
    if not value:
        return None
    if value not in EFFORTS:
        raise Refusal(400, f'invalid reasoning value: \'{value}\' (must be "high", "medium", "low", "max", or "none")')
    return value != "none"
