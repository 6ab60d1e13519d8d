"""What the API's schema says about a route: all of it is read from its row, its surface and its wire format."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import orjson
from django.conf import settings

from proxy.openapi.bodies import form_body, has_body, request_body, streams, success
from proxy.openapi.errors import REASONS, reference
from proxy.openapi.examples import Example, examples
from proxy.openapi.schemas import TYPES

if TYPE_CHECKING:
    from proxy.dialects.base import Surface
    from proxy.openapi.schemas import Schema
    from proxy.routes import Route

# Where the schema says that the gateway is; whoever fetches it reads the address that they used instead.
ADDRESS = "http://localhost:8100"
EVENTS = "text/event-stream"

# The part of the docs that a surface's routes stand in: its title, and a sentence.
GROUPS = {
    "gateway": ("Gateway API", "Ollama's answers under the gateway's own paths, streamed as server-sent events."),
    "ollama": ("Ollama API", "Ollama's own paths: for its command line and its client libraries."),
    "openai": ("OpenAI API", "For OpenAI's client libraries, and all that speak like them."),
    "anthropic": ("Anthropic API", "For Anthropic's client libraries, and all that speak like them."),
    "account": ("Keys and usage", "What a key may do and has used; with the scope `keys`, for all keys."),
    "service": ("About this gateway", "Open to everybody: no key is needed."),
}
OF_BODIES = (400, 413, 415)
# An empty file can be sent as it stands, and is then there to be asked for.
EMPTY_FILE = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
FILE = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}, "example": ""}}}
# Where the answer comes from, for the kinds of routes that do more than relay.
LISTED = "Lists what your key may use, from Ollama's `{upstream}`."
BEHIND = {
    "tags": LISTED,
    "running": LISTED,
    "models": LISTED,
    "model": "Describes a model that your key may use.",
    "status": "Answered here: cloud models are on or off for this gateway, whatever Ollama's own setting is.",
    "transcribe": "Takes a form with a recording, for Ollama's `{upstream}`. Answers can't be streamed.",
    "count": "An estimate of the gateway's own, marked as such: Ollama has no way to ask.",
}


def operation(route: Route, security: list[Schema]) -> Schema:
    """Returns a route's operation."""
    example = example_of(route)
    described: Schema = {
        "operationId": "_".join([route.method.lower(), *re.findall(r"\w+", route.path)]),
        "summary": route.summary,
        "description": description(route, example),
        "tags": [group(route.surface)[0]],
        "security": security,
        "responses": {
            "200": success(route, example),
            **{str(status): reference(route.surface, status) for status in statuses(route)},
        },
    }
    names = re.findall(r"{(\w+)", route.path)
    parameters = {"digest": EMPTY_FILE, "id": settings.OLLAMA_MODEL}
    if names:
        described["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": TYPES[str], "example": parameters[name]}
            for name in names
        ]
    if route.kind == "transcribe":
        described["requestBody"] = form_body(route, example)
    elif has_body(route):
        described["requestBody"] = request_body(route, example)
    elif route.kind == "upload":
        described["requestBody"] = FILE
    return described


def group(surface: Surface) -> tuple[str, str]:
    """Returns the title of a surface's part of the docs, and a sentence."""
    return GROUPS.get(surface.name) or (surface.name, "")


def statuses(route: Route) -> list[int]:
    """Returns the statuses of the errors that a route can answer."""
    reads_body = has_body(route) or route.kind == "upload"
    return [status for status in REASONS if reads_body or status not in OF_BODIES]


def example_of(route: Route) -> Example:
    """Returns an exchange on a route, at least with what must be asked."""
    known = examples(settings.OLLAMA_MODEL)
    path = route.path.removeprefix("/api") if route.path.startswith("/api/v1/") else route.path
    least = Example(asked=dict.fromkeys(route.shape.required, "…") if has_body(route) else None)
    return known.get(path) or known.get(route.upstream) or least


def description(route: Route, example: Example) -> str:
    """Returns what there is to know about a route, in Markdown."""
    said = [
        BEHIND.get(route.kind, "Relays `{method} {upstream}` of Ollama.").format(
            method=route.method, upstream=route.upstream
        )
    ]
    if route.scope != "inference":
        said.append(f"Needs a key with the scope `{route.scope}`.")
    if route.shape.required:
        said.append(" and ".join(f"`{name}`" for name in route.shape.required) + " must be given.")
    if route.default_model:
        said.append(f"Without `model`, `{settings.OLLAMA_MODEL}` answers.")
    if has_body(route) and route.kind != "transcribe":
        said.append("Fields that are not listed here are passed on to Ollama.")
    return " ".join(said) + (streaming(route, example) if streams(route) else "")


def streaming(route: Route, example: Example) -> str:
    """Says how a route's streams work, with a command that shows one."""
    kind = "server-sent events" if route.format.media_type == EVENTS else "lines of JSON"
    when = "Unless `stream` is `false`" if route.shape.stream_default else 'With `"stream": true`'
    body = orjson.dumps({**(example.asked or {}), "stream": True}).decode().replace("'", "'\\''")
    return (
        f"\n\n**Streaming.** {when} the answer comes as {kind} (`{route.format.media_type}`), each sent as soon as "
        "Ollama has written it. A stream that fails half-way ends with an error and without its usual last piece. "
        "This page shows a stream only once it is over; to see it come:\n\n"
        f"```sh\ncurl -N {ADDRESS}{route.path} \\\n  -H 'X-API-Key: <your key>' \\\n"
        f"  -H 'Content-Type: application/json' \\\n  -d '{body}'\n```"
    )
