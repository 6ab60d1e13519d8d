"""Ollama's own dialect: /api/generate and /api/chat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.stub.answer import JSON, NDJSON, Stream, Whole
from benchmarks.stub.asking import Asked, Run, ToolCall, check_abilities, model_of
from benchmarks.stub.errors import LOST
from benchmarks.stub.gojson import Struct, encode
from benchmarks.stub.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

CREATED_AT = "2026-01-02T03:04:05.678Z"
REMOTE = {"remote_model": "stub-remote", "remote_host": "https://ollama.com:443"}
EFFORTS = ("low", "medium", "high", "max")
OPTION_TYPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "temperature": ((int, float), "float32"),
    "top_p": ((int, float), "float32"),
    "num_predict": ((int, float), "integer"),
    "num_ctx": ((int, float), "integer"),
    "seed": ((int, float), "integer"),
    "stop": (list, "array"),
}


class Native:
    """What generate and chat have in common: defaults, options, lines and counts."""

    verb = "generate"

    def text_part(self, token: str, thought: str, tools: list[ToolCall]) -> dict[str, Any]:
        """Returns the members that carry text, thinking and calls."""
        raise NotImplementedError

    def line(
        self,
        run: Run,
        token: str = "",
        thought: str = "",
        tools: list[ToolCall] | None = None,
        written: int | None = None,
    ) -> bytes:
        """Writes one line of a stream, before its last."""
        body = {**self._head(run), **self.text_part(token, thought, tools or []), "done": False}
        return encode(body | ({} if written is None else running(run, written))) + b"\n"

    def stream(self, run: Run) -> Stream:
        """Writes a run as lines, each flushed on its own."""
        return Stream(
            chunks=((line,) for line in self._lines(run)),
            ending=(self._final(run, "", "", run.tools if run.tools_last else []) + b"\n",),
            broken=(encode({"error": LOST}) + b"\n",),
            content_type=NDJSON,
        )

    def whole(self, run: Run) -> Whole:
        """Writes a run as one object without a newline."""
        return Whole(self._final(run, run.text, run.thinking, run.tools), content_type=JSON)

    def loaded(self, asked: Asked) -> Whole:
        """Writes the answer to an empty request, which loads or unloads."""
        body = {"model": asked.model, "created_at": CREATED_AT, **self.text_part("", "", [])}
        return Whole(encode({**body, "done": True, "done_reason": asked.load}))

    def _head(self, run: Run) -> dict[str, Any]:
        model = run.model if run.knobs.repeat_model else ""
        return {"model": model, **(REMOTE if run.asked.name.remote else {}), "created_at": CREATED_AT}

    def _lines(self, run: Run) -> Iterator[bytes]:
        for thought in run.thoughts:
            yield self.line(run, thought=thought)
        for index, token in enumerate(run.tokens):
            written = len(run.thoughts) + index + 1 if run.knobs.counts == "running" else None
            yield self.line(run, token, written=written)
        if run.tools and not run.tools_last:
            yield self.line(run, tools=run.tools)

    def _final(self, run: Run, text: str, thinking: str, tools: list[ToolCall]) -> bytes:
        body = {**self._head(run), **self.text_part(text, thinking, tools)}
        if run.cut_short:
            return encode({**body, "done": False})
        body |= {"done": True, "done_reason": run.reason} | self.context(run) | metrics(run)
        return encode(body)

    def context(self, run: Run) -> dict[str, Any]:  # noqa: ARG002 -- chat has none, generate looks at the run
        """Returns the deprecated context of a final line."""
        return {}


class Generate(Native):
    """/api/generate."""

    def read(self, body: Struct) -> Asked:
        """Reads a request; raises Refusal."""
        model = body.text("model")
        prompt = body.text("prompt")
        name = model_of(model, absent=Refusal(404, "model '' not found"))
        raw = bool(body.flag("raw"))
        if raw and (body.text("template") or body.text("system") or body.list("context")):
            raise Refusal(400, "raw mode does not support template, system, or context")
        asked = Asked(
            model=model,
            name=name,
            stream=body.flag("stream") is not False,
            texts=[body.text("system"), prompt, body.text("suffix")],
            last=prompt,
            cap=option_cap(body),
            num_ctx=option_window(body),
            truncate=body.flag("truncate"),
            think=think(body),
            load=load(body, empty=not prompt),
            raw=raw,
        )
        check_abilities(asked, self.verb)
        return asked

    def text_part(self, token: str, thought: str, tools: list[ToolCall]) -> dict[str, Any]:  # noqa: ARG002 -- as its sibling
        """Returns response and thinking; a generate request can't declare tools."""
        return {"response": token} | ({"thinking": thought} if thought else {})

    def context(self, run: Run) -> dict[str, Any]:
        """Returns the context, unless the request was raw."""
        return {} if run.asked.raw else {"context": [1, 2, 3]}


class Chat(Native):
    """/api/chat."""

    verb = "chat"

    def read(self, body: Struct) -> Asked:
        """Reads a request; raises Refusal."""
        model = body.text("model")
        messages = [message for message in body.list("messages") if isinstance(message, Struct)]
        name = model_of(model, absent=Refusal(400, "model is required"))
        texts = [message.text("content") for message in messages]
        users = [message.text("content") for message in messages if message.text("role").lower() == "user"]
        asked = Asked(
            model=model,
            name=name,
            stream=body.flag("stream") is not False,
            texts=texts,
            last=users[-1] if users else "",
            cap=option_cap(body),
            num_ctx=option_window(body),
            truncate=body.flag("truncate"),
            think=think(body),
            tools=tool_names(body),
            load=load(body, empty=not messages),
        )
        check_abilities(asked, self.verb)
        return asked

    def text_part(self, token: str, thought: str, tools: list[ToolCall]) -> dict[str, Any]:
        """Returns the message."""
        message: dict[str, Any] = {"role": "assistant", "content": token}
        if thought:
            message["thinking"] = thought
        return {"message": message | ({"tool_calls": calls(tools)} if tools else {})}


def metrics(run: Run) -> dict[str, int]:
    """Returns durations in nanoseconds and counts; a count of 0 is left out."""
    values = {
        "total_duration": 9_000_000,
        "load_duration": 1_000_000,
        "prompt_eval_count": run.prompt_count,
        "prompt_eval_duration": 2_000_000,
        "eval_count": run.eval_count,
        "eval_duration": int(run.knobs.eval_ms * 1_000_000),
    }
    return {name: value for name, value in values.items() if value} | kept(run)


def kept(run: Run) -> dict[str, int]:
    """Returns how much of the prompt came from the cache, where it is known."""
    return {} if run.cached is None else {"prompt_eval_cached_count": run.cached}


def running(run: Run, written: int) -> dict[str, int]:
    """Returns the counts of a line before the last."""
    return {"prompt_eval_count": run.prompt_count, "eval_count": written} | kept(run)


def calls(tools: list[ToolCall]) -> list[dict[str, Any]]:
    """Writes tool calls natively, with arguments as an object."""
    return [
        {"id": tool.call_id, "function": {"index": index, "name": tool.name, "arguments": tool.arguments}}
        for index, tool in enumerate(tools)
    ]


def tool_names(body: Struct) -> list[str]:
    """Reads the names of the tools that a request declares."""
    tools = [tool for tool in body.list("tools") if isinstance(tool, Struct)]
    return [tool.object("function").text("name") for tool in tools]


def option_cap(body: Struct) -> int | None:
    """Reads options.num_predict; raises Refusal (500) for an option of a wrong type."""
    options = body.object("options")
    for name, (kind, said) in OPTION_TYPES.items():
        value = options.get(name)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise Refusal(500, f'option "{name}" must be of type {said}')
    cap = options.get("num_predict")
    return None if cap is None else int(cap)


def option_window(body: Struct) -> int | None:
    """Reads options.num_ctx, whose type was checked with the cap."""
    window = body.object("options").get("num_ctx")
    return None if window is None else int(window)


def think(body: Struct) -> bool | None:
    """Reads think, a boolean or an effort; raises Refusal (400) for another value."""
    value = body.field("think", null=True)
    if value is None or isinstance(value, bool):
        return value
    if value in EFFORTS:
        return True
    raise Refusal(
        400, f'invalid think value: {encode(value).decode()} (must be "high", "medium", "low", "max", true, or false)'
    )


def load(body: Struct, *, empty: bool) -> Any:
    """Tells whether a request only loads ("load") or unloads ("unload"); raises Refusal (400) for a bad keep_alive."""
    value = body.field("keep_alive", null=True)
    if isinstance(value, bool | list | dict):
        raise Refusal(400, f"Unsupported type: '{type(value).__name__}'")
    if isinstance(value, str) and value not in ("0", "-1") and value[-1:].isdigit():
        raise Refusal(400, f'time: missing unit in duration "{value}"')
    if not empty:
        return ""
    return "unload" if value in (0, "0", "0s", "0m") and value is not None else "load"
