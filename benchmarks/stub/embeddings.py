"""Embeddings in the three ways that Ollama offers them: numbers made from the text alone."""

from __future__ import annotations

import base64
import math
import struct
from typing import TYPE_CHECKING, Any
from zlib import crc32

from benchmarks.stub.answer import Whole
from benchmarks.stub.asking import model_of
from benchmarks.stub.gojson import Struct, encode, float32
from benchmarks.stub.knobs import find, words
from benchmarks.stub.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

DIMENSIONS = 8
NO_EMBEDDINGS = "this model does not support embeddings"


def vector(text: str, dimensions: int | None = None, *, unit: bool = True) -> list[float]:
    """Returns a vector that depends on the text alone, cut to some dimensions and of length 1 if asked."""
    kept = DIMENSIONS if not dimensions or dimensions < 0 else min(dimensions, DIMENSIONS)
    raw = [1 + (crc32(f"{index} {text}".encode("utf-8", "replace")) % 100) for index in range(kept)]
    length = math.sqrt(sum(value * value for value in raw)) if unit else 10
    return [float32(value / length) for value in raw]


def count_words(texts: Sequence[str]) -> int:
    """Counts the words of texts."""
    return sum(len(words(text)) for text in texts)


def cached(texts: Sequence[str]) -> int | None:
    """Returns how much of some texts came from the cache, None where nothing asks for that to be told."""
    knobs = find(" ".join(text for text in texts if "[[" in text), "", "")
    return None if knobs.cached is None else min(knobs.cached, count_words(texts))


def inputs(body: Struct, *, strict: bool) -> list[str]:
    """Reads `input`, a string or a list of them; raises Refusal (400).

    The OpenAI route is `strict`: it wants one, while the native one takes none as a wish to load.
    """
    value = body.field("input")
    if isinstance(value, str):
        return [value] if value or strict else []
    if not value and not isinstance(value, bool | int | float | dict):
        if strict:
            raise Refusal(400, "invalid input")
        return []
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise Refusal(400, "invalid input type")
    return value


def embed(body: Struct) -> Whole:
    """/api/embed."""
    model = body.text("model")
    check(model_of(model, absent=Refusal(404, "model '' not found"), quote='"').embeds)
    texts = inputs(body, strict=False)
    if not texts:
        return Whole(encode({"model": model, "embeddings": []}))
    size = body.number("dimensions")
    answer: dict[str, Any] = {"model": model, "embeddings": [vector(text, size) for text in texts]}
    kept = cached(texts)
    return Whole(
        encode(answer | timing(count_words(texts)) | ({} if kept is None else {"prompt_eval_cached_count": kept}))
    )


def embeddings(body: Struct) -> Whole:
    """/api/embeddings, the old way: one text, no counts, not of length 1."""
    model = body.text("model")
    check(model_of(model, absent=Refusal(400, "model is required"), exact=True, quote='"').embeds)
    prompt = body.text("prompt")
    return Whole(encode({"embedding": vector(prompt, unit=False) if prompt else []}))


def openai_embeddings(body: Struct) -> Whole:
    """/v1/embeddings."""
    model = body.text("model")
    style = body.text("encoding_format").lower()
    if style not in ("", "float", "base64"):
        raise Refusal(400, f"Invalid value for 'encoding_format' = {style}. Supported values: ['float', 'base64'].")
    texts = inputs(body, strict=True)
    check(model_of(model, absent=Refusal(404, "model '' not found"), quote='"').embeds)
    size = body.number("dimensions")
    data = [
        {"object": "embedding", "embedding": packed(vector(text, size), style), "index": index}
        for index, text in enumerate(texts)
    ]
    count = count_words(texts)
    answer = {"object": "list", "data": data, "model": model}
    usage: dict[str, Any] = {"prompt_tokens": count, "total_tokens": count}
    kept = cached(texts)
    if kept is not None:
        usage["prompt_tokens_details"] = {"cached_tokens": kept}
    return Whole(encode(answer | {"usage": usage}) + b"\n", content_type="application/json")


def packed(values: list[float], style: str) -> list[float] | str:
    """Returns the numbers themselves, or as base64 of little-endian float32."""
    if style != "base64":
        return values
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


def timing(count: int) -> dict[str, int]:
    """Returns the durations and the count of an embedding; a count of 0 is left out."""
    values = {"total_duration": 5_000_000, "load_duration": 1_000_000, "prompt_eval_count": count}
    return {name: value for name, value in values.items() if value}


def check(embeds: bool) -> None:  # noqa: FBT001 -- reads as a question at the call
    """Raises Refusal (501) for a model that makes no embeddings."""
    if not embeds:
        raise Refusal(501, NO_EMBEDDINGS)
