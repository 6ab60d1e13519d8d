"""What a request body must be before it is sent on, and the canonical body that is sent instead of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from proxy import strictjson
from proxy.exceptions import BadBody

# How a JSON type is called in a message.
TYPE_NAMES = {bool: "true or false", str: "a string", dict: "an object", list: "an array", float: "a number"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What one route's body looks like: the fields that we read or require, and their types."""

    types: dict[str, tuple[type, ...]]
    required: str
    stream_default: bool = False
    defaults: dict[str, Any] = field(default_factory=dict)


COMMON: dict[str, tuple[type, ...]] = {"model": (str,), "stream": (bool,)}
GENERATE = Shape(
    types={**COMMON, "prompt": (str,), "system": (str,), "suffix": (str,), "options": (dict,), "images": (list,)},
    required="prompt",
)
CHAT = Shape(types={**COMMON, "messages": (list,), "options": (dict,), "tools": (list,)}, required="messages")
COMPLETION = Shape(types={**COMMON, "prompt": (str,), "suffix": (str,)}, required="prompt")


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that passed: its model, whether it streams, and the body for Ollama."""

    model: str
    streamed: bool
    body: bytes


def canonical(shape: Shape, raw: bytes, default_model: str) -> Ask:
    """Checks a request body and returns it in canonical form.  Raises BadBody with what is wrong and where."""
    if not raw.strip():
        raise BadBody('The body is empty: send a JSON object such as {"%s": …}.' % shape.required)
    try:
        payload = strictjson.parse(raw)
    except strictjson.JSONFault as fault:
        raise BadBody(f"The body is not valid JSON: {fault}.") from None
    if not isinstance(payload, dict):
        raise BadBody("The body must be a JSON object.")
    check_types(shape, payload)
    model = payload.get("model") or default_model
    streamed = payload.get("stream")
    if streamed is None:
        streamed = shape.stream_default
    payload["model"], payload["stream"] = model, streamed
    try:
        return Ask(model, streamed, strictjson.dump(payload))
    except strictjson.JSONFault as fault:
        raise BadBody(f"The body is not valid JSON: {fault}.") from None


def check_types(shape: Shape, payload: dict[str, Any]) -> None:
    """Checks the fields that we know; null counts as absent, as it does for Ollama."""
    for name, types in shape.types.items():
        value = payload.get(name)
        if value is not None and not isinstance(value, types):
            wanted = " or ".join(TYPE_NAMES[kind] for kind in types)
            raise BadBody(f"{name!r} must be {wanted}.")
    value = payload.get(shape.required)
    if value is None:
        raise BadBody(f"{shape.required!r} is missing: the request needs it.")
    if shape.required == "messages":
        if not value:
            raise BadBody("'messages' is empty: send at least one message.")
        for index, message in enumerate(value):
            if not isinstance(message, dict):
                raise BadBody(f"messages[{index}] must be an object with 'role' and 'content'.")
            if not isinstance(message.get("role"), str):
                raise BadBody(f"messages[{index}].role must be a string such as 'user'.")
