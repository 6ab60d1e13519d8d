"""The stub's own bytes, without a network: what Ollama writes in answer to a request."""

from __future__ import annotations

import itertools
import json
from functools import cache
from typing import Any

from benchmarks.stub.answer import Stream, Whole
from benchmarks.stub.record import Exchange, Link
from benchmarks.stub.server import Stub

HOST = [(b"Host", b"localhost")]


@cache
def stub() -> Stub:
    """One stub for all."""
    return Stub()


def answer(path: str, body: dict[str, Any]) -> Stream | Whole:
    """What the stub would say."""
    raw = json.dumps(body).encode()
    exchange = Exchange(0, Link(0, 0.0), "POST", path, HOST, raw, 0.0)
    return stub().reply(exchange)[1].answer


def streamed(path: str, *, broken_after: int | None = None, **body: Any) -> bytes:
    """The bytes of a streamed answer; with `broken_after`, of one that fails after so many chunks."""
    found = answer(path, {"model": "stub", "stream": True, **body})
    assert isinstance(found, Stream), found
    if broken_after is None:
        pieces = itertools.chain(found.chunks, [found.ending])
    else:
        pieces = itertools.chain(itertools.islice(found.chunks, broken_after), [found.broken])
    return b"".join(itertools.chain.from_iterable(pieces))


def whole(path: str, **body: Any) -> bytes:
    """The bytes of an answer in one piece."""
    found = answer(path, {"model": "stub", **body})
    assert isinstance(found, Whole), found
    return found.body


def said(path: str, text: str) -> dict[str, Any]:
    """The part of a request that carries its text."""
    if path.endswith(("/generate", "/v1/completions")):
        return {"prompt": text}
    if path.endswith("/responses"):
        return {"input": text}
    return {"messages": [{"role": "user", "content": text}], **({"max_tokens": 999} if "messages" in path else {})}
