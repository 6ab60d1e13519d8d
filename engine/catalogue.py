"""What the engine says about itself: version, tags, running models, details."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from engine import native
from engine.errors import Refusal
from engine.exchange import PLAIN, Exchange
from engine.llama import TEMPERATURE
from engine.model import CONTEXT, LAYERS, LICENCE, NAME, PARAMETERS, SMOLLM2, WIDTH, is_known
from engine.wire import loads

VERSION = "0.0.0-demo"  # Ollama's own builds without a version say 0.0.0
FOREVER = "2318-01-01T00:00:00Z"  # what Ollama says of a model that is never unloaded
CAPABILITIES = ["completion", "embedding"]
DETAILS = {
    "parent_model": "",
    "format": "gguf",
    "family": "llama",
    "families": ["llama"],
    "parameter_size": "134.52M",
    "quantization_level": "Q4_1",
}
TEMPLATE = "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"


class Catalogue:
    """The endpoints that only tell; `model` is the file that is served."""

    def __init__(self, model: Path) -> None:
        self.changed = datetime.fromtimestamp(int(model.stat().st_mtime), UTC)

    async def root(self, exchange: Exchange) -> None:
        """Answers GET and HEAD /, the heartbeat of Ollama's own client."""
        await exchange.whole(200, b"Ollama is running", PLAIN)

    async def version(self, exchange: Exchange) -> None:
        """Answers GET /api/version."""
        await exchange.json({"version": VERSION})

    async def tags(self, exchange: Exchange) -> None:
        """Answers GET /api/tags."""
        entry = {"name": NAME, "model": NAME, "modified_at": self._modified(), **self._file(), "details": DETAILS}
        await exchange.json({"models": [{**entry, "capabilities": CAPABILITIES}]})

    async def ps(self, exchange: Exchange) -> None:
        """Answers GET /api/ps: the model is always loaded."""
        entry = {"name": NAME, "model": NAME, **self._file(), "details": DETAILS, "expires_at": FOREVER}
        await exchange.json({"models": [{**entry, "size_vram": 0, "context_length": CONTEXT}]})

    async def show(self, exchange: Exchange) -> None:
        """Answers POST /api/show."""
        body = loads(exchange.body)
        name = native.text_field(body, "model") or native.text_field(body, "name")
        if not name:
            raise Refusal(400, "model is required")
        if not is_known(name):
            raise Refusal(404, f"model '{name if ':' in name else name + ':latest'}' not found")
        await exchange.json(
            {
                "license": LICENCE,
                "modelfile": f"FROM {NAME}\nPARAMETER temperature {TEMPERATURE}\n",
                "parameters": f"temperature                    {TEMPERATURE}",
                "template": TEMPLATE,
                "details": DETAILS,
                "model_info": {
                    "general.architecture": "llama",
                    "general.basename": "SmolLM2",
                    "general.parameter_count": PARAMETERS,
                    "llama.block_count": LAYERS,
                    "llama.context_length": CONTEXT,
                    "llama.embedding_length": WIDTH,
                },
                "capabilities": CAPABILITIES,
                "modified_at": self._modified(),
            }
        )

    async def models(self, exchange: Exchange) -> None:
        """Answers GET /v1/models."""
        await exchange.json({"object": "list", "data": [self._openai(NAME)]})

    async def model(self, exchange: Exchange) -> None:
        """Answers GET /v1/models/{id}; repeats the id as it was given."""
        name = exchange.path.removeprefix("/v1/models/")
        if not is_known(name):
            raise Refusal(404, f"model '{name}' not found")
        await exchange.json(self._openai(name))

    async def unchangeable(self, _: Exchange) -> None:
        """Answers what would change the models."""
        raise Refusal(501, "the demo engine has one model and can't change it: set OLLAMA_URL to an Ollama of yours")

    def _modified(self) -> str:
        return self.changed.strftime("%Y-%m-%dT%H:%M:%SZ")

    def _file(self) -> native.Body:
        return {"size": SMOLLM2.size, "digest": SMOLLM2.file_sha256}

    def _openai(self, name: str) -> native.Body:
        return {"id": name, "object": "model", "created": int(self.changed.timestamp()), "owned_by": "library"}
