"""All that may reach Ollama, in one table; what is not in it does not exist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.dialects.chunks import Chunks
from proxy.dialects.ndjson import LinesAsEvents
from proxy.dialects.ours import OURS
from proxy.policy import CHAT, COMPLETION, GENERATE

if TYPE_CHECKING:
    from proxy.dialects.base import Surface, WireFormat
    from proxy.policy import Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One row: a path of ours, the path of Ollama's behind it, and how the two are spoken."""

    method: str
    path: str
    upstream: str
    surface: Surface
    format: WireFormat
    shape: Shape
    summary: str


ROUTES = (
    Route(
        method="POST",
        path="/api/v1/generate",
        upstream="/api/generate",
        surface=OURS,
        format=LinesAsEvents(),
        shape=GENERATE,
        summary="Complete a prompt",
    ),
    Route(
        method="POST",
        path="/api/v1/chat",
        upstream="/api/chat",
        surface=OURS,
        format=LinesAsEvents(),
        shape=CHAT,
        summary="Answer a conversation",
    ),
    Route(
        method="POST",
        path="/api/v1/completions",
        upstream="/v1/completions",
        surface=OURS,
        format=Chunks(),
        shape=COMPLETION,
        summary="Complete a prompt, in OpenAI's shape",
    ),
)
