"""All that may reach Ollama, in one table; what is not in it does not exist."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from proxy import shapes
from proxy.dialects.anthropic import ANTHROPIC
from proxy.dialects.chunks import Chunks
from proxy.dialects.events import Messages, Responses
from proxy.dialects.native import NATIVE
from proxy.dialects.ndjson import NDJSON, LinesAsEvents, Progress
from proxy.dialects.openai import OPENAI
from proxy.dialects.ours import OURS
from proxy.dialects.single import Embeddings, Free, Transcription

if TYPE_CHECKING:
    from proxy.dialects.base import Surface, WireFormat
    from proxy.shapes import Shape

# How a route is served: see proxy/serving.
Kind = Literal[
    "relay", "plain", "tags", "running", "models", "model", "count", "show", "status", "upload", "transcribe"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One row: a path of ours, the path of Ollama's behind it, and how the two are spoken.

    A path may end in one parameter, `{id}`, that takes the rest of the path.
    """

    method: str
    path: str
    upstream: str
    surface: Surface
    format: WireFormat
    summary: str
    shape: Shape = shapes.NOTHING
    kind: Kind = "relay"
    scope: str = "inference"
    default_model: bool = False  # a request may leave the model out


JSON, LINES, EVENTS, CHUNKS = Free(), NDJSON(), LinesAsEvents(), Chunks()
PROGRESS, VECTORS, TRANSCRIPT = Progress(), Embeddings(), Transcription()


def seed(path: str, upstream: str, wire: WireFormat, shape: Shape, summary: str) -> Route:
    """Returns a row of the gateway's first three endpoints."""
    return Route(
        method="POST",
        path=f"/api/v1/{path}",
        upstream=upstream,
        surface=OURS,
        format=wire,
        shape=shape,
        summary=summary,
        default_model=True,
    )


def native(path: str, wire: WireFormat, shape: Shape, summary: str) -> Route:
    """Returns a row of Ollama's own API."""
    return Route(
        method="POST",
        path=f"/api/{path}",
        upstream=f"/api/{path}",
        surface=NATIVE,
        format=wire,
        shape=shape,
        summary=summary,
    )


def listing(path: str, kind: Kind, summary: str, *methods: str) -> list[Route]:
    """Returns the rows of something that Ollama lists."""
    return [
        Route(
            method=method,
            path=f"/api/{path}",
            upstream=f"/api/{path}",
            surface=NATIVE,
            format=JSON,
            summary=summary,
            kind=kind,
        )
        for method in methods
    ]


def manage(path: str, wire: WireFormat, shape: Shape, summary: str, **other: Any) -> Route:
    """Returns a row of Ollama's API that changes the box."""
    return replace(native(path, wire, shape, summary), scope="manage", **other)


def openai(prefix: str, path: str, wire: WireFormat, shape: Shape, summary: str) -> Route:
    """Returns a row of OpenAI's API."""
    return Route(
        method="POST",
        path=f"{prefix}/{path}",
        upstream=f"/v1/{path}",
        surface=OPENAI,
        format=wire,
        shape=shape,
        summary=summary,
    )


def transcriptions(prefix: str) -> Route:
    """Returns the row of recordings that become text."""
    row = openai(prefix, "audio/transcriptions", TRANSCRIPT, shapes.TRANSCRIPTION, "Transcribe a recording")
    return replace(row, kind="transcribe")


def models(prefix: str) -> list[Route]:
    """Returns the rows of OpenAI's list of models."""
    rows: list[tuple[str, Kind, str]] = [
        (f"{prefix}/models", "models", "List the models"),
        (f"{prefix}/models/{{id}}", "model", "Describe a model"),
    ]
    return [
        Route(
            method="GET",
            path=path,
            upstream="/v1/models",
            surface=OPENAI,
            format=JSON,
            summary=summary,
            kind=kind,
        )
        for path, kind, summary in rows
    ]


ROUTES: tuple[Route, ...] = (
    # The gateway's own
    seed("generate", "/api/generate", EVENTS, shapes.SEED_GENERATE, "Complete a prompt"),
    seed("chat", "/api/chat", EVENTS, shapes.SEED_CHAT, "Answer a conversation"),
    seed("completions", "/v1/completions", CHUNKS, shapes.COMPLETIONS, "Complete a prompt, in OpenAI's shape"),
    # Ollama's
    native("generate", LINES, shapes.GENERATE, "Complete a prompt"),
    native("chat", LINES, shapes.CHAT, "Answer a conversation"),
    native("embed", VECTORS, shapes.EMBED, "Embed texts"),
    native("embeddings", VECTORS, shapes.EMBEDDINGS, "Embed one text (the older form)"),
    replace(native("show", JSON, shapes.SHOW, "Describe a model"), kind="show"),
    *listing("tags", "tags", "List the models", "GET", "HEAD"),
    *listing("ps", "running", "List the loaded models", "GET"),
    *listing("status", "status", "Tell whether cloud models are on", "GET"),
    *listing("version", "plain", "Tell Ollama's version", "GET", "HEAD"),
    manage("pull", PROGRESS, shapes.PULL, "Fetch a model"),
    manage("push", PROGRESS, shapes.PULL, "Publish a model"),
    manage("create", PROGRESS, shapes.CREATE, "Make a model"),
    manage("copy", JSON, shapes.COPY, "Copy a model"),
    manage("delete", JSON, shapes.DELETE, "Delete a model", method="DELETE"),
    manage("blobs/{digest}", JSON, shapes.NOTHING, "Ask whether a file is there", method="HEAD", kind="plain"),
    manage("blobs/{digest}", JSON, shapes.NOTHING, "Send a file for a model", kind="upload"),
    # OpenAI's
    openai("/v1", "chat/completions", CHUNKS, shapes.CHAT_COMPLETIONS, "Answer a conversation"),
    openai("/v1", "completions", CHUNKS, shapes.COMPLETIONS, "Complete a prompt"),
    openai("/v1", "embeddings", VECTORS, shapes.OPENAI_EMBEDDINGS, "Embed texts"),
    openai("/v1", "responses", Responses(), shapes.RESPONSES, "Respond to an input"),
    transcriptions("/v1"),
    *models("/v1"),
    openai("/api/v1", "chat/completions", CHUNKS, shapes.CHAT_COMPLETIONS, "Answer a conversation"),
    openai("/api/v1", "embeddings", VECTORS, shapes.OPENAI_EMBEDDINGS, "Embed texts"),
    transcriptions("/api/v1"),
    *models("/api/v1"),
    # Anthropic's
    Route(
        method="POST",
        path="/v1/messages",
        upstream="/v1/messages",
        surface=ANTHROPIC,
        format=Messages(),
        shape=shapes.MESSAGES,
        summary="Answer a conversation",
    ),
    Route(
        method="POST",
        path="/v1/messages/count_tokens",
        upstream="",
        surface=ANTHROPIC,
        format=JSON,
        shape=shapes.COUNT_TOKENS,
        summary="Estimate a prompt's tokens",
        kind="count",
    ),
)
