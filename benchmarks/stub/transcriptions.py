"""Transcriptions: what a form says, and its prompt as the text that was heard."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from benchmarks.stub.answer import NDJSON, PLAIN, Whole
from benchmarks.stub.asking import model_of
from benchmarks.stub.gojson import encode
from benchmarks.stub.knobs import words
from benchmarks.stub.refusal import Refusal

if TYPE_CHECKING:
    from benchmarks.stub.knobs import Knobs

NAME = re.compile(rb'\bname="([^"\r\n]*)"')
# What no Ollama says yet, in OpenAI's words; the knob `counts` asks for one of them.
USAGE = {
    "tokens": {"type": "tokens", "input_tokens": 70, "output_tokens": 3, "total_tokens": 73},
    "seconds": {"type": "duration", "seconds": 4},
}


def read(body: bytes) -> dict[str, bytes]:
    """Reads a form by the boundary of its first line, the first of repeated fields; raises Refusal (400)."""
    mark = body.partition(b"\r\n")[0]
    if not mark.startswith(b"--") or not body.endswith(b"\r\n" + mark + b"--\r\n"):
        raise Refusal(400, "failed to parse multipart form: multipart: NextPart: EOF")
    fields: dict[str, bytes] = {}
    for part in (b"\r\n" + body).split(b"\r\n" + mark + b"\r\n")[1:]:
        head, _, value = part.partition(b"\r\n\r\n")
        name = NAME.search(head)
        if name:
            fields.setdefault(name[1].decode("utf-8", "replace"), value.removesuffix(b"\r\n" + mark + b"--\r\n"))
    return fields


def transcription(fields: dict[str, bytes], knobs: Knobs) -> Whole:
    """/v1/audio/transcriptions; what fails while the model runs is an empty answer with 200."""
    said = {name: value.decode("utf-8", "replace") for name, value in fields.items() if name != "file"}
    model_of(said.get("model", ""), absent=Refusal(400, "model is required"))
    if not fields.get("file"):
        raise Refusal(400, "file is required: http: no such file")
    text = " ".join(words(said.get("prompt", ""))) or "stub"
    if knobs.error_after is not None:
        return Whole(content_type=NDJSON)
    if said.get("response_format") == "text":
        return Whole(text.encode(), content_type=PLAIN)
    usage = {"usage": USAGE[knobs.counts]} if knobs.counts in USAGE else {}
    return Whole(encode({"text": text, **usage}) + b"\n", content_type=NDJSON)
