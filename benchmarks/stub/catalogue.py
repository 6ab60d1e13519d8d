"""What Ollama tells about itself and its models: version, tags, ps, show, /v1/models."""

from __future__ import annotations

import hashlib
from typing import Any

from benchmarks.stub import names
from benchmarks.stub.answer import Whole
from benchmarks.stub.asking import model_of
from benchmarks.stub.gojson import Struct, encode
from benchmarks.stub.loading import Loaded, parameter_window, trained_window
from benchmarks.stub.native import REMOTE
from benchmarks.stub.openai import CREATED
from benchmarks.stub.refusal import Refusal

VERSION = "0.33.0"
MODIFIED = "2026-01-02T04:04:05.678901234+01:00"
EXPIRES = "2026-01-02T04:09:05.678901234+01:00"
SIZE = 91_739_413


def root() -> Whole:
    """GET /."""
    return Whole(b"Ollama is running", content_type="text/plain; charset=utf-8")


def version() -> Whole:
    """GET /api/version."""
    return Whole(encode({"version": VERSION}))


def status() -> Whole:
    """GET /api/status."""
    return Whole(encode({"cloud": {"disabled": False, "source": "none"}}))


def recommendations() -> Whole:
    """GET /api/experimental/model-recommendations."""
    return Whole(encode({"recommendations": []}))


def tags(models: tuple[str, ...]) -> Whole:
    """GET /api/tags."""
    listed = [names.parse(model) for model in models]
    return Whole(encode({"models": [head(name) | tail(name) for name in listed]}))


def ps(loaded: Loaded) -> Whole:
    """GET /api/ps."""
    windows = [(names.parse(model), window) for model, window in loaded.windows.items()]
    rows = [
        {
            "name": name.short,
            "model": name.short,
            "size": SIZE,
            "digest": digest(name),
            "details": details(name),
            "expires_at": EXPIRES,
            "size_vram": SIZE,
            "context_length": window,
        }
        for name, window in windows
    ]
    return Whole(encode({"models": rows}))


def show(body: Struct) -> Whole:
    """POST /api/show."""
    model = body.text("model") or body.text("name")
    name = names.parse(model) if model else None
    if name and not names.exists(name):
        raise Refusal(404, f"model '{name.short}' not found")
    name = model_of(model, absent=Refusal(400, "model is required"))
    window = parameter_window(name)
    parameters = 'stop                           "<|im_end|>"'
    answer: dict[str, Any] = {
        "license": "MIT",
        "modelfile": f"FROM /usr/share/ollama/.ollama/models/blobs/sha256-{digest(name)}",
        "parameters": parameters + (f"\nnum_ctx                        {window}" if window else ""),
        "template": "{{ .Prompt }}",
        "system": "You are a stub.",
        "details": details(name),
        **(REMOTE if name.remote else {}),
        "model_info": {
            "general.architecture": "stub",
            "general.parameter_count": SIZE,
            "stub.context_length": trained_window(name),
        },
    }
    if body.flag("verbose"):
        answer["tensors"] = [{"name": "token_embd.weight", "type": "Q8_0", "shape": [64, 512]}]
    return Whole(encode(answer | {"capabilities": name.capabilities, "modified_at": MODIFIED}))


def openai_models(models: tuple[str, ...]) -> Whole:
    """GET /v1/models; data is null when there are none."""
    data = [openai_model(names.parse(model).short, names.parse(model)) for model in models]
    return Whole(encode({"object": "list", "data": data or None}) + b"\n", content_type="application/json")


def retrieve(model: str) -> Whole:
    """GET /v1/models/{model}, which echoes the id as given."""
    name = model_of(model, absent=Refusal(404, "model '' not found"))
    return Whole(encode(openai_model(model, name)) + b"\n", content_type="application/json")


def openai_model(shown: str, name: names.Name) -> dict[str, Any]:
    """Writes a model as OpenAI does."""
    return {"id": shown, "object": "model", "created": CREATED, "owned_by": name.namespace}


def digest(name: names.Name) -> str:
    """Returns a digest that stands for the model's bytes."""
    return hashlib.sha256(name.full.lower().encode()).hexdigest()


def details(name: names.Name) -> dict[str, Any]:
    """Writes the details that tags, ps and show share."""
    if name.remote:
        return {
            "parent_model": "",
            "format": "",
            "family": "",
            "families": None,
            "parameter_size": "",
            "quantization_level": "",
        }
    return {
        "parent_model": "",
        "format": "gguf",
        "family": "stub",
        "families": ["stub"],
        "parameter_size": "135M",
        "quantization_level": "Q8_0",
    }


def head(name: names.Name) -> dict[str, Any]:
    """Writes how a row of tags begins."""
    return {"name": name.short, "model": name.short, **(REMOTE if name.remote else {})}


def tail(name: names.Name) -> dict[str, Any]:
    """Writes how a row of tags ends."""
    row = {"modified_at": MODIFIED, "size": 384 if name.remote else SIZE, "digest": digest(name)}
    return {**row, "details": details(name), "capabilities": name.capabilities}
