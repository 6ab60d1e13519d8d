"""What is measured: each case is a row, and one more is one more row."""

from __future__ import annotations

import json
from dataclasses import dataclass

MODEL = "mistral"
QUESTION = "Why is the sky blue at noon and red in the evening?"
FEW, MANY = 10, 110


@dataclass(frozen=True, slots=True)
class Request:
    """One request, sent over and over; `marks` is how often `mark` must be in a right answer.

    Each connection sends `warm_up` of them before anything is measured.
    """

    endpoint: str
    body: bytes
    mark: bytes
    marks: int
    warm_up: int


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of traffic: `requests` by their number of chunks, 0 for an answer in one piece."""

    name: str
    requests: dict[int, Request]
    connections: int

    @property
    def streams(self) -> bool:
        """Tells whether the answers are streams."""
        return 0 not in self.requests


def _json(endpoint: str, **body: object) -> Request:
    data = json.dumps({"model": MODEL, "stream": False, **body}).encode()
    return Request(endpoint, data, b'"done":true', 1, warm_up=5)


def _stream(endpoint: str, chunks: int, interval_ms: float) -> Request:
    text = f"{QUESTION} [[chunks={chunks} interval_ms={interval_ms:g}]]"
    asked = {"messages": [{"role": "user", "content": text}]} if "chat" in endpoint else {"prompt": text}
    data = json.dumps({"model": MODEL, **asked, "stream": True}).encode()
    mark = b'"finish_reason":null' if endpoint.startswith("/v1/") else b'"done":false'
    return Request(endpoint, data, mark, chunks, warm_up=1)


def _streams(endpoint: str, interval_ms: float) -> dict[int, Request]:
    return {chunks: _stream(endpoint, chunks, interval_ms) for chunks in (FEW, MANY)}


CASES = (
    Case("small JSON, 1 connection", {0: _json("generate", prompt=QUESTION)}, 1),
    Case("small JSON, 16 connections", {0: _json("generate", prompt=QUESTION)}, 16),
    Case("stream, a chunk each 2 ms", _streams("generate", 2), 16),
    Case("stream, all chunks at once", _streams("generate", 0), 16),
    Case("/api/chat, a chunk each 2 ms", _streams("/api/chat", 2), 16),
    Case("/v1/chat/completions, a chunk each 2 ms", _streams("/v1/chat/completions", 2), 16),
)
