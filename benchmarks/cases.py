"""What is measured: each case is a row, and one more is one more row."""

from __future__ import annotations

import base64
import json
import random
from dataclasses import dataclass

MODEL = "mistral"
QUESTION = "Why is the sky blue at noon and red in the evening?"
WORDS = 5  # of an answer in one piece
FEW, MANY = 10, 110
PROMPT_BYTES = 32 * 1024
IMAGE_BYTES = 768 * 1024  # a megabyte in base64
OPENAI = "/v1/chat/completions"
CHATS = (OPENAI, "/api/chat", "/v1/messages", "/v1/responses")

# What an answer in one piece must hold once, and a stream once a chunk.
WHOLE_MARKS = {
    "generate": b'"done":true',
    "/api/chat": b'"done":true',
    OPENAI: b'"object":"chat.completion"',
    "/v1/messages": b'"type":"message"',
    "/v1/responses": b'"object":"response"',
}
CHUNK_MARKS = {
    "generate": b'"done":false',
    "/api/chat": b'"done":false',
    OPENAI: b'"content":',
    "/v1/messages": b"event: content_block_delta",
    "/v1/responses": b"event: response.output_text.delta",
}


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
    """A kind of traffic: `requests` by their number of chunks, 0 for an answer in one piece.

    `run` says which runs have it: `quick`, `usual` (which has the quick ones too) or `full`.
    """

    name: str
    requests: dict[int, Request]
    connections: int
    run: str = "full"

    @property
    def endpoint(self) -> str:
        """The endpoint that its requests go to."""
        return next(iter(self.requests.values())).endpoint

    @property
    def streams(self) -> bool:
        """Tells whether the answers are streams."""
        return 0 not in self.requests

    @property
    def alone(self) -> bool:
        """Tells whether a request has the server for itself, so that its times are the way's alone."""
        return self.connections == 1


def body_of(endpoint: str, text: str, cap: int, *, stream: bool, image: str = "") -> bytes:
    """Writes a question, with a picture in base64 if there is one, as each dialect has it.

    Each request caps its output: a gateway whose budgets are finite would write a cap of its own into it otherwise.
    """
    body: dict[str, object] = {"model": MODEL, "stream": stream}
    if endpoint in ("generate", "/api/chat"):
        body["options"] = {"num_predict": cap}
    else:
        body["max_output_tokens" if endpoint == "/v1/responses" else "max_tokens"] = cap
    if endpoint == "generate":
        body |= {"prompt": text} | ({"images": [image]} if image else {})
    elif endpoint == "/v1/responses":
        body |= {"input": text}
    else:
        message: dict[str, object] = {"role": "user", "content": text}
        if image and endpoint == "/api/chat":
            message["images"] = [image]
        elif image:
            picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}}
            message["content"] = [{"type": "text", "text": text}, picture]
        body |= {"messages": [message]}
    return json.dumps(body).encode()


def whole(endpoint: str, text: str = QUESTION, *, image: str = "", warm_up: int = 5) -> dict[int, Request]:
    """A request whose answer comes in one piece."""
    body = body_of(endpoint, text, WORDS, stream=False, image=image)
    return {0: Request(endpoint, body, WHOLE_MARKS[endpoint], 1, warm_up)}


def stream(endpoint: str, chunks: int, interval_ms: float) -> Request:
    """A request whose answer is a stream of so many chunks."""
    text = f"{QUESTION} [[chunks={chunks} interval_ms={interval_ms:g}]]"
    return Request(endpoint, body_of(endpoint, text, chunks, stream=True), CHUNK_MARKS[endpoint], chunks, warm_up=1)


def streams(endpoint: str, interval_ms: float) -> dict[int, Request]:
    """The same stream with few chunks and with many, so that a chunk's own cost can be told."""
    return {chunks: stream(endpoint, chunks, interval_ms) for chunks in (FEW, MANY)}


def noise(size: int) -> str:
    """Makes up a picture of so many bytes, always the same, and encodes it in base64."""
    return base64.b64encode(random.Random(size).randbytes(size)).decode()  # noqa: S311 -- it makes no secrets


PROMPT = (QUESTION + " ") * (PROMPT_BYTES // len(QUESTION))
IMAGE = noise(IMAGE_BYTES)

CASES = (
    Case("generate, small JSON, 1 connection", whole("generate"), 1, "quick"),
    Case("generate, small JSON, 16 connections", whole("generate"), 16, "quick"),
    Case("generate, stream, a chunk each 2 ms", streams("generate", 2), 16, "quick"),
    Case("OpenAI chat, small JSON, 1 connection", whole(OPENAI), 1, "usual"),
    Case("OpenAI chat, small JSON, 16 connections", whole(OPENAI), 16, "usual"),
    Case("OpenAI chat, stream, a chunk each 2 ms", streams(OPENAI, 2), 16, "usual"),
    Case("OpenAI chat, 32 KB prompt, 1 connection", whole(OPENAI, PROMPT), 1, "usual"),
    Case("OpenAI chat, 1 MB image, 1 connection", whole(OPENAI, image=IMAGE, warm_up=2), 1, "usual"),
    Case("OpenAI chat, stream's beginning, 1 connection", {FEW: stream(OPENAI, FEW, 2)}, 1, "usual"),
    Case("OpenAI chat, small JSON, 64 connections", whole(OPENAI), 64),
    Case("OpenAI chat, small JSON, 256 connections", whole(OPENAI), 256),
    Case("OpenAI chat, stream, all chunks at once", streams(OPENAI, 0), 16),
    Case("generate, stream, all chunks at once", streams("generate", 0), 16),
    Case("generate, 32 KB prompt, 16 connections", whole("generate", PROMPT), 16),
    Case("generate, 1 MB image, 1 connection", whole("generate", image=IMAGE, warm_up=2), 1),
    *(Case(f"{path}, small JSON, 16 connections", whole(path), 16) for path in CHATS[1:]),
    *(Case(f"{path}, stream, a chunk each 2 ms", streams(path, 2), 16) for path in CHATS[1:]),
    *(Case(f"{path}, stream, all chunks at once", streams(path, 0), 16) for path in CHATS[1:]),
)
