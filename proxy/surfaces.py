"""Which surface an address speaks, for what is refused before a route is found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.dialects.anthropic import ANTHROPIC
from proxy.dialects.native import NATIVE
from proxy.dialects.openai import OPENAI
from proxy.dialects.ours import OURS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.dialects.base import Surface

# The longest prefix that fits decides.
PREFIXES: tuple[tuple[str, Surface], ...] = (
    ("/api/v1/audio/", OPENAI),
    ("/api/v1/chat/completions", OPENAI),
    ("/api/v1/embeddings", OPENAI),
    ("/api/v1/models", OPENAI),
    ("/api/v1/", OURS),
    ("/api/", NATIVE),
    ("/v1/messages", ANTHROPIC),
    ("/v1/", OPENAI),
    # Where OpenAI's clients come whose base URL lacks its `/v1`: they show no other shape of error.
    ("/audio/transcriptions", OPENAI),
    ("/chat/completions", OPENAI),
    ("/completions", OPENAI),
    ("/embeddings", OPENAI),
    ("/models", OPENAI),
    ("/responses", OPENAI),
)


def surface_of(path: str, meta: Mapping[str, object]) -> Surface:
    """Returns the surface of a path; on OpenAI's, a client that names an Anthropic version gets Anthropic's."""
    for prefix, surface in PREFIXES:
        if path.startswith(prefix):
            return ANTHROPIC if surface is OPENAI and "HTTP_ANTHROPIC_VERSION" in meta else surface
    return OURS
