"""What Ollama's native requests mean to llama.cpp: prompts, options, output formats, and what is not supported."""

from __future__ import annotations

import math
import re
from typing import Any

from engine.errors import Refusal
from engine.model import NAME

Body = dict[str, Any]

# Ollama's option, llama.cpp's field, and the type that Ollama names when it complains.
OPTIONS = {
    "temperature": ("temperature", "float32"),
    "top_p": ("top_p", "float32"),
    "min_p": ("min_p", "float32"),
    "typical_p": ("typical_p", "float32"),
    "repeat_penalty": ("repeat_penalty", "float32"),
    "presence_penalty": ("presence_penalty", "float32"),
    "frequency_penalty": ("frequency_penalty", "float32"),
    "top_k": ("top_k", "integer"),
    "seed": ("seed", "integer"),
    "repeat_last_n": ("repeat_last_n", "integer"),
    "num_predict": ("n_predict", "integer"),
    "num_keep": ("n_keep", "integer"),
}
# A model this small would otherwise fill its whole answer with the blank lines that JSON allows.
TIGHT = {"x-guidance": {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}}
LEVELS = ("low", "medium", "high", "max")


def sampling(options: object) -> Body:
    """Translates the `options` object; names that are unknown or can't change here are left out.

    Raises Refusal(500) for a value of the wrong type, as Ollama does.
    """
    if options is None:
        return {}
    if not isinstance(options, dict):
        raise Refusal(400, "options must be an object")
    chosen: Body = {}
    for name, (field, kind) in OPTIONS.items():
        value = options.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise Refusal(500, f'option "{name}" must be of type {kind}')
        chosen[field] = int(value) if kind == "integer" else float(value)
    stop = options.get("stop")
    if stop is not None:
        if not isinstance(stop, list) or not all(isinstance(word, str) for word in stop):
            raise Refusal(500, 'option "stop" must be of type array')
        chosen["stop"] = stop
    return chosen


def shape(wanted: object) -> Body:
    """Translates `format`: "json" or a JSON schema.

    Raises Refusal(500) for anything else, as Ollama does.
    """
    if wanted is None or wanted == "":
        return {}
    if wanted == "json":
        wanted = {"type": "object"}
    if isinstance(wanted, dict):
        return {"json_schema": {**wanted, **TIGHT}}
    raise Refusal(500, 'invalid format: expected "json" or a JSON schema')


def chat_prompt(messages: object) -> str:
    """Renders a conversation in the model's own format (ChatML); an assistant's last message is continued.

    Raises Refusal(400) when the messages are not a list of objects with a role and a text.
    """
    if not isinstance(messages, list):
        raise Refusal(400, "messages must be a list")
    turns = []
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise Refusal(400, "a message must be an object with a role")
        text = message.get("content") or ""
        if not isinstance(text, str):
            raise Refusal(400, "a message's content must be a string")
        if message.get("images"):
            raise unsupported("vision")
        turns.append((message["role"].lower(), text))
    prompt = "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns)
    if turns and turns[-1][0] == "assistant":
        return prompt.removesuffix("<|im_end|>\n")
    return f"{prompt}<|im_start|>assistant\n"


def generate_prompt(body: Body) -> str:
    """Renders the prompt of a generate request, with its system text; as it stands when it is raw.

    Raises Refusal(400) for what the demo model can't do.
    """
    prompt, system = text_field(body, "prompt"), text_field(body, "system")
    if body.get("raw"):
        if system or body.get("template") or body.get("context"):
            raise Refusal(400, "raw mode does not support template, system, or context")
        return prompt
    if body.get("template"):
        raise Refusal(400, "the demo model does not support template")
    if text_field(body, "suffix"):
        raise unsupported("insert")
    if body.get("images"):
        raise unsupported("vision")
    opening = [{"role": "system", "content": system}] if system else []
    return chat_prompt([*opening, {"role": "user", "content": prompt}])


def text_field(body: Body, name: str) -> str:
    """Returns a field that is a string, or empty when it is absent.

    Raises Refusal(400) when it is something else.
    """
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Refusal(400, f"{name} must be a string")
    return value


def unsupported(capability: str) -> Refusal:
    """Returns the refusal for a capability that the demo model lacks."""
    return Refusal(400, f'"{NAME}" does not support {capability}')


def check_abilities(body: Body) -> None:
    """Raises Refusal(400) for thinking and tools, which the demo model can't do."""
    think = body.get("think")
    if think is not None and not isinstance(think, bool) and think not in LEVELS:
        raise Refusal(400, 'think must be a boolean or one of "low", "medium", "high", "max"')
    if think:
        raise unsupported("thinking")
    if body.get("tools"):
        raise Refusal(400, f"registry.ollama.ai/library/{NAME} does not support tools")


def wants_stream(body: Body, *, default: bool) -> bool:
    """Returns the `stream` field.

    Raises Refusal(400) when it is not a boolean.
    """
    value = body.get("stream")
    if value is None:
        return default
    if not isinstance(value, bool):
        raise Refusal(400, "stream must be a boolean")
    return value


def unloads(keep_alive: object) -> bool:
    """Tells whether a `keep_alive` of zero asks to unload the model.

    Raises Refusal(400) for a value that is neither a number nor a duration.
    """
    if keep_alive is None:
        return False
    if isinstance(keep_alive, int | float) and not isinstance(keep_alive, bool):
        return keep_alive == 0
    if isinstance(keep_alive, str):
        if re.fullmatch(r"[+-]?0", keep_alive):
            return True
        if re.fullmatch(r"[+-]?(\d+(\.\d*)?(ns|us|µs|ms|s|m|h))+", keep_alive):
            return not re.search(r"[1-9]", keep_alive)
        raise Refusal(400, f'time: invalid duration "{keep_alive}"')
    raise Refusal(400, f"Unsupported type: '{type(keep_alive).__name__}'")
