"""What requests carry and answers bring, by the row's shape and wire format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

from proxy.call import Facts
from proxy.forms import MEDIA_TYPE
from proxy.openapi.schemas import TYPES, schema_of

if TYPE_CHECKING:
    from proxy.openapi.examples import Example
    from proxy.openapi.schemas import Schema
    from proxy.routes import Route

FIELDS = {
    "model": "The model that answers.",
    "stream": "Whether the answer comes in pieces, each as soon as it is there.",
    "prompt": "The text to go on from.",
    "suffix": "The text that stands after the answer.",
    "messages": "The conversation so far, oldest first.",
    "system": "What the model is told before the prompt.",
    "options": "Ollama's options for this request, such as `temperature` or `num_predict`.",
    "images": "Pictures in base64, for models that see.",
    "tools": "Functions that the model may ask to be called.",
    "keep_alive": "How long the model stays in memory afterwards, such as `5m`.",
    "language": "The language that is spoken, such as `en`.",
    "response_format": "`json` or `text`; Ollama answers all others as `json`.",
    "max_tokens": "The largest number of tokens to answer with.",
}


def has_body(route: Route) -> bool:
    """Tells whether a route's requests carry fields, as JSON or as a form."""
    return route.method not in ("GET", "HEAD") and bool(route.shape.types)


def streams(route: Route) -> bool:
    """Tells whether a route's answers can be streamed."""
    return has_body(route) and route.shape.stream_default is not None


def form_body(route: Route, example: Example) -> Schema:
    """Describes a form with a file."""
    schema: Schema = {
        "type": "object",
        "properties": {
            "file": {"type": "string", "format": "binary", "description": "The recording, such as a WAV or MP3 file."},
            **{name: field(route, name) for name in route.shape.types},
        },
        "required": ["file", *route.shape.required],
        "additionalProperties": False,
    }
    return {"required": True, "content": {MEDIA_TYPE: {"schema": schema, "example": example.asked}}}


def request_body(route: Route, example: Example) -> Schema:
    """Describes what is sent."""
    shape = route.shape
    asked = example.asked or {}
    shown: Schema = {"whole": {"summary": "Answered in one piece", "value": asked}}
    if streams(route):
        if shape.stream_default:
            shown["whole"]["value"] = {**asked, "stream": False}
        shown["streamed"] = {"summary": "Streamed", "value": {**asked, "stream": True}}
    schema: Schema = {
        "type": "object",
        "properties": {name: field(route, name) for name in shape.types},
        "additionalProperties": True,
    }
    if shape.required:
        schema["required"] = list(shape.required)
    return {"required": True, "content": {"application/json": {"schema": schema, "examples": shown}}}


def field(route: Route, name: str) -> Schema:
    """Describes one field."""
    kinds = [TYPES[kind] for kind in route.shape.types[name]]
    schema: Schema = dict(kinds[0]) if len(kinds) == 1 else {"oneOf": kinds}
    if name in FIELDS:
        schema["description"] = FIELDS[name]
    if name == "model" and route.default_model:
        schema["default"] = settings.OLLAMA_MODEL
    if name == "stream" and streams(route):
        schema["default"] = route.shape.stream_default
    return schema


def success(route: Route, example: Example) -> Schema:
    """Describes the answer."""
    content: Schema = {}
    if example.answered is not None and route.method != "HEAD":
        content["application/json"] = {"schema": schema_of(example.answered), "example": example.answered}
    if streams(route):
        streamed: Schema = {"schema": {"type": "string"}}
        if example.stream:
            streamed["example"] = as_streamed(route, example.stream)
        content[route.format.media_type] = streamed
    return {"description": "The answer.", **({"content": content} if content else {})}


def as_streamed(route: Route, written: bytes) -> str:
    """Returns what a client of the route receives when Ollama writes this."""
    model = settings.OLLAMA_MODEL
    reader = route.format.reader(Facts(model, model, model, streamed=True))
    return (reader.feed(written) + reader.end()).decode()
