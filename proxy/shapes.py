"""What a request body of each kind looks like: what is required, which types we rely on, where its caps stand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from proxy import structs
from proxy.exceptions import BadBody
from proxy.structs import Struct

TYPE_NAMES = {
    bool: "true or false",
    str: "a string",
    dict: "an object",
    list: "an array",
    int: "a whole number",
    float: "a number",
}

# Ollama decodes the numbers that we rely on into Go's int.
LARGEST_INT = 2**63 - 1

Types = dict[str, tuple[type, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The body of one kind of request.

    `cap` is the field with the most tokens to answer with, `load` the field that, left empty, asks to load a model
    only, `texts` the fields that a prompt is made of, and `privileged` the fields that need the scope `manage`.
    `is_estimate` tells that Ollama never sees the request, `attribution` that Claude Code may put its line before the
    prompt.
    """

    struct: Struct
    types: Types = field(default_factory=dict)
    required: tuple[str, ...] = ()
    stream_default: bool | None = None  # None: this kind has no streams
    cap: str | None = None
    load: str | None = None
    texts: tuple[str, ...] = ()
    batch: str | None = None
    privileged: tuple[str, ...] = ()
    is_estimate: bool = False
    attribution: bool = False

    def check(self, payload: dict[str, Any]) -> None:
        """Raises BadBody with the first thing that is wrong; null counts as absent, as it does for Ollama."""
        self.struct.check(payload)
        for name, value in payload.items():
            types = self.types.get(name)
            if types is None or value is None:
                continue
            if not isinstance(value, types) or (types == (int,) and isinstance(value, bool)):
                raise BadBody(f"{name!r} must be {' or '.join(TYPE_NAMES[kind] for kind in types)}.")
            if isinstance(value, int) and abs(value) > LARGEST_INT:
                raise BadBody(f"{name!r} is out of range: it must fit 64 bits.")
        for name in self.required:
            if payload.get(name) is None:
                raise BadBody(f"{name!r} is missing: the request needs it.")
        if "messages" in self.types:
            check_messages(payload.get("messages"), required="messages" in self.required)


def check_messages(messages: list[Any] | None, *, required: bool) -> None:
    """Raises BadBody unless each message is an object with a role."""
    if required and not messages:
        raise BadBody("'messages' is empty: send at least one message.")
    for index, message in enumerate(messages or ()):
        if not isinstance(message, dict):
            raise BadBody(f"messages[{index}] must be an object with 'role' and 'content'.")
        if not isinstance(message.get("role"), str):
            raise BadBody(f"messages[{index}].role must be a string such as 'user'.")


MODEL: Types = {"model": (str,)}
STREAMED: Types = {**MODEL, "stream": (bool,)}
PROMPT: Types = {**STREAMED, "prompt": (str,), "suffix": (str,)}
NATIVE: Types = {"options": (dict,), "keep_alive": (str, int, float)}
OPENAI: Types = {"max_tokens": (int,), "max_completion_tokens": (int,), "stream_options": (dict,)}

NATIVE_GENERATE: Types = {**PROMPT, **NATIVE, "system": (str,), "template": (str,), "images": (list,)}
NATIVE_CHAT: Types = {**STREAMED, **NATIVE, "messages": (list,), "tools": (list,)}
GENERATE_TEXTS = ("prompt", "system", "suffix", "images", "context")

SEED_GENERATE = Shape(
    struct=structs.GENERATE,
    types=NATIVE_GENERATE,
    required=("prompt",),
    stream_default=False,
    cap="num_predict",
    load="prompt",
    texts=GENERATE_TEXTS,
)
SEED_CHAT = Shape(
    struct=structs.CHAT,
    types=NATIVE_CHAT,
    required=("messages",),
    stream_default=False,
    cap="num_predict",
    load="messages",
    texts=("messages", "tools"),
)
GENERATE = Shape(
    struct=structs.GENERATE,
    types=NATIVE_GENERATE,
    stream_default=True,
    cap="num_predict",
    load="prompt",
    texts=GENERATE_TEXTS,
)
CHAT = Shape(
    struct=structs.CHAT,
    types=NATIVE_CHAT,
    stream_default=True,
    cap="num_predict",
    load="messages",
    texts=("messages", "tools"),
)
EMBED = Shape(struct=structs.EMBED, types={**MODEL, **NATIVE, "input": (str, list)}, texts=("input",), batch="input")
EMBEDDINGS = Shape(struct=structs.EMBEDDINGS, types={**MODEL, **NATIVE, "prompt": (str,)}, texts=("prompt",))
SHOW = Shape(
    struct=structs.SHOW,
    types={**MODEL, "name": (str,)},
    # The first alone makes tens of megabytes; the others try out what only the model's keeper should.
    privileged=("verbose", "system", "template", "options"),
)

CHAT_COMPLETIONS = Shape(
    struct=structs.CHAT_COMPLETIONS,
    types={**STREAMED, **OPENAI, "messages": (list,), "tools": (list,)},
    required=("messages",),
    stream_default=False,
    cap="max_tokens",
    texts=("messages", "tools"),
)
COMPLETIONS = Shape(
    struct=structs.COMPLETIONS,
    types={**PROMPT, **OPENAI},
    required=("prompt",),
    stream_default=False,
    cap="max_tokens",
    texts=("prompt", "suffix"),
)
OPENAI_EMBEDDINGS = Shape(
    struct=structs.OPENAI_EMBEDDINGS,
    types={**MODEL, "input": (str, list)},
    required=("input",),
    texts=("input",),
    batch="input",
)
RESPONSES = Shape(
    struct=structs.RESPONSES,
    types={**STREAMED, "input": (str, list), "tools": (list,), "max_output_tokens": (int,)},
    required=("input",),
    stream_default=False,
    cap="max_output_tokens",
    texts=("input", "instructions", "tools"),
)
# The fields of a form beside its file; those with brackets may be repeated.
TRANSCRIPTION = Shape(
    struct=structs.TRANSCRIPTION,
    types={
        **STREAMED,
        **dict.fromkeys(("language", "prompt", "response_format", "chunking_strategy"), (str,)),
        "temperature": (float,),
        **dict.fromkeys(("timestamp_granularities[]", "include[]"), (list,)),
    },
    required=("model",),
    texts=("prompt",),
)
MESSAGES = Shape(
    struct=structs.MESSAGES,
    types={**STREAMED, "messages": (list,), "tools": (list,), "max_tokens": (int,)},
    required=("messages", "max_tokens"),
    stream_default=False,
    cap="max_tokens",
    texts=("messages", "system", "tools"),
    attribution=True,
)
COUNT_TOKENS = Shape(
    struct=structs.MESSAGES,
    types={**MODEL, "messages": (list,), "tools": (list,)},
    required=("messages",),
    texts=("messages", "system", "tools"),
    is_estimate=True,
    attribution=True,
)

PULL = Shape(struct=structs.PULL, types={**STREAMED, "name": (str,)}, stream_default=True)
CREATE = Shape(struct=structs.CREATE, types={**STREAMED, "name": (str,), "from": (str,)}, stream_default=True)
COPY = Shape(struct=structs.COPY, types={"source": (str,), "destination": (str,)}, required=("source", "destination"))
DELETE = Shape(struct=structs.DELETE, types={**MODEL, "name": (str,)})
NOTHING = Shape(struct=Struct(""))
