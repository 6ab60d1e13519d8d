"""The packages `ollama` and `openai` from npm, unmodified, under Node; each script does it all and says what came."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import Door

FOLDER = Path(__file__).parent / "npm"
SECONDS = 120


def run(node: str, script: str, *arguments: str) -> Any:
    """Runs a script and returns what it says."""
    done = subprocess.run(
        [node, str(FOLDER / script), *arguments], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_ollama_does_what_its_users_do(node: str, door: Door) -> None:
    said = run(node, "ollama.mjs", door.url, door.key, door.model, door.embedding_model)
    assert said["chat"]["message"]["content"]
    assert said["chat"]["model"] == door.model
    assert said["streamed"]["text"] == said["chat"]["message"]["content"]
    assert said["streamed"]["done"][-1] is True
    assert said["generate"]["response"] == said["generated"]["text"]
    assert said["generated"]["done"] is True
    assert len(said["embed"]["embeddings"]) == 2
    assert len(said["embeddings"]["embedding"]) > 1
    assert any(name.removesuffix(":latest") == door.model for name in said["listed"])
    assert "completion" in said["shown"]
    assert any(name.removesuffix(":latest") == door.model for name in said["loaded"])
    assert said["version"]


def test_ollama_throws_our_words(node: str, stub_door: Door) -> None:
    said = run(node, "ollama.mjs", stub_door.url, stub_door.key, stub_door.model, stub_door.embedding_model)
    for name in ("unknown", "unknownStream"):
        assert said[name]["status"] == 404
        assert said[name]["message"].startswith("model 'missing' not found")
    assert said["keyless"]["status"] == 401
    assert said["keyless"]["message"].startswith("An API key is needed")
    assert said["pull"]["status"] == 403
    assert "'manage'" in said["pull"]["message"]
    assert said["broken"]["message"]
    assert "broke off before its end" in said["cut"]["message"]


@pytest.mark.parametrize("prefix", ["/v1", "/api/v1"])
def test_openai_does_what_its_users_do(node: str, door: Door, prefix: str) -> None:
    said = run(node, "openai.mjs", door.url, door.key, door.model, door.embedding_model, prefix)
    assert said["chat"]["choices"][0]["message"]["content"]
    assert said["chat"]["usage"]["completion_tokens"] <= 8
    assert said["streamed"]["text"]
    assert said["streamed"]["usage"] == []
    assert said["counted"]["completion_tokens"]
    assert said["completion"]["choices"][0]["text"]
    assert said["packed"] == pytest.approx(said["plain"], abs=1e-4)
    assert any(name.removesuffix(":latest") == door.model for name in said["listed"])
    assert said["found"] == said["listed"][0]
    if prefix == "/v1":
        assert said["responded"]
        assert said["response"]["text"] == said["response"]["final"]


@pytest.mark.parametrize("prefix", ["/v1", "/api/v1"])
def test_openai_throws_our_words(node: str, stub_door: Door, prefix: str) -> None:
    said = run(node, "openai.mjs", stub_door.url, stub_door.key, stub_door.model, stub_door.embedding_model, prefix)
    assert said["unknown"]["name"] == "NotFoundError"
    assert "model 'missing' not found" in said["unknown"]["message"]
    assert said["unknown"]["code"] == "model_not_found"
    assert said["unknown"]["requestID"]
    assert said["keyless"]["name"] == "AuthenticationError"
    assert "This API key is not valid" in said["keyless"]["message"]
    for name in ("broken", "cut"):
        assert said[name]["name"] == "APIError"
        assert "broke off before its end" in said[name]["message"]
