"""Whether the gateway starts the demo engine: one decision, with its reason in words."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from engine.model import DEMO


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to start the engine, and why, in one sentence for people."""

    start: bool
    reason: str


def wanted(
    *,
    ollama_url: str | None,
    engine: Literal["auto", "on", "off"],
    production: bool,
    default_url: str,
    answers: bool,
) -> Decision:
    """Decides whether the demo engine stands in for a missing Ollama.

    `ollama_url` is what the operator set, `answers` tells whether anything listens at `default_url`.
    """
    if ollama_url:
        return Decision(start=False, reason=f"OLLAMA_URL is set: requests go to {ollama_url}")
    if answers:
        return Decision(start=False, reason=f"Requests go to the Ollama at {default_url}")
    missing = f"OLLAMA_URL is not set and nothing answers at {default_url}"
    remedy = "start Ollama there or set OLLAMA_URL"
    if engine == "off":
        return Decision(start=False, reason=f"{missing}; ENGINE=off forbids the demo model: {remedy}")
    if production and engine != "on":
        return Decision(
            start=False,
            reason=f"{missing}; a production server doesn't answer with {DEMO} unless ENGINE=on: {remedy}",
        )
    return Decision(start=True, reason=f"{missing}: starting {DEMO}")


def something_listens(url: str, timeout: float = 0.5) -> bool:
    """Tells whether anything accepts connections at the URL's host and port; waits at most `timeout` seconds.

    An Ollama listens well before it answers, so an accepted connection is enough to leave the place to it.
    """
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((parts.hostname or "localhost", port), timeout):
            return True
    except OSError:
        return False
