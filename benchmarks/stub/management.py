"""The routes that change an Ollama: here they change nothing, and are counted like all others."""

from __future__ import annotations

import re

from benchmarks.stub.answer import NDJSON, Stream, Whole
from benchmarks.stub.asking import model_of
from benchmarks.stub.gojson import Struct, encode
from benchmarks.stub.refusal import Refusal

LAYER = "0a1b2c3d4e5f"
DIGEST = re.compile(r"sha256[:-][0-9a-f]{64}")
SIZE = 1000
STEPS: dict[str, tuple[dict[str, object], ...]] = {
    "pull": (
        {"status": "pulling manifest"},
        {"status": f"pulling {LAYER}", "digest": f"sha256:{LAYER}", "total": SIZE},
        {"status": f"pulling {LAYER}", "digest": f"sha256:{LAYER}", "total": SIZE, "completed": SIZE},
        {"status": "verifying sha256 digest"},
        {"status": "writing manifest"},
    ),
    "push": (
        {"status": "retrieving manifest"},
        {"status": f"pushing {LAYER}", "digest": f"sha256:{LAYER}", "total": SIZE, "completed": SIZE},
    ),
    "create": ({"status": f"using existing layer sha256:{LAYER}"}, {"status": "writing manifest"}),
}
SUCCESS = {"status": "success"}


def progress(work: str, body: Struct) -> Whole | Stream:
    """POST /api/pull, push and create: steps, and then success; a missing model fails after the first step."""
    model = body.text("model") or body.text("name")
    model_of(model, absent=Refusal(400, "invalid model name")) if not model or work == "push" else None
    missing = model.lower().startswith("missing")
    error = "pull model manifest: file does not exist"
    if body.flag("stream") is False:
        if missing:
            raise Refusal(500, error)
        return Whole(encode(SUCCESS))
    lines = [(encode(step) + b"\n",) for step in STEPS[work]]
    if missing:
        return Stream(lines[:1], (encode({"error": error}) + b"\n",), (), NDJSON)
    return Stream(lines, (encode(SUCCESS) + b"\n",), (encode({"error": error}) + b"\n",), NDJSON)


def copy(body: Struct) -> Whole:
    """POST /api/copy."""
    source = body.text("source")
    if not source or not body.text("destination"):
        raise Refusal(400, "source and destination are required")
    return Whole(b"", content_type=None) if not source.startswith("missing") else _unknown(source)


def delete(body: Struct) -> Whole:
    """DELETE /api/delete."""
    model = body.text("model") or body.text("name")
    return Whole(b"", content_type=None) if not model.startswith("missing") else _unknown(model)


def _unknown(model: str) -> Whole:
    raise Refusal(404, f'model "{model}" not found')


def blob_there(digest: str, blobs: set[str]) -> Whole:
    """HEAD /api/blobs/{digest}."""
    _check(digest)
    return Whole(b"", 200 if digest in blobs else 404, None)


def blob_store(digest: str, blobs: set[str]) -> Whole:
    """POST /api/blobs/{digest}: 201 the first time, then 200."""
    _check(digest)
    known = digest in blobs
    blobs.add(digest)
    return Whole(b"", 200 if known else 201, None)


def _check(digest: str) -> None:
    if not DIGEST.fullmatch(digest):
        raise Refusal(400, "invalid digest format")


def me() -> Whole:
    """POST /api/me, of a server that is signed in nowhere."""
    raise Refusal(401, "unauthorized")


def done() -> Whole:
    """POST /api/signout and DELETE /api/user/keys/{key}."""
    return Whole(encode({}))


def web(kind: str) -> Whole:
    """POST /api/experimental/web_search and web_fetch, which would reach the network."""
    return Whole(encode({"results": []} if kind == "search" else {"title": "", "content": "", "links": []}))
