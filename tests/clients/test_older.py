"""Older SDKs, unmodified: anthropic before 1.0, which has another header for its key, and openai of the last series."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.clients.conftest import Door
from tests.harness import clean_environment

SCRIPT = Path(__file__).with_name("older.py")


def run(python: Path, sdk: str, door: Door) -> Any:
    """Runs the script with one of the SDKs and returns what it says."""
    command = [str(python), str(SCRIPT), sdk, door.url, door.key, door.model]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_anthropic_does_what_its_users_do(frameworks: Path, door: Door) -> None:
    said = run(frameworks, "anthropic", door)
    assert said["version"].startswith("0.")
    assert said["header"] == "X-Api-Key"
    assert said["message"]["content"][0]["text"]
    assert said["streamed"]
    assert any(name.removesuffix(":latest") == door.model for name in said["models"])
    assert said["counted"]
    message, request_id = said["unknown"]
    assert "model 'missing' not found" in message
    assert request_id


def test_openai_does_what_its_users_do(frameworks: Path, door: Door) -> None:
    said = run(frameworks, "openai", door)
    assert said["version"].startswith("2.")
    assert said["chat"]["choices"][0]["message"]["content"]
    assert said["streamed"]
    assert said["responded"]
    assert any(name.removesuffix(":latest") == door.model for name in said["models"])
    message, code = said["unknown"]
    assert "model 'missing' not found" in message
    assert code == "model_not_found"


def test_a_stream_that_fails_raises_our_words(frameworks: Path, stub_door: Door) -> None:
    for sdk in ("anthropic", "openai"):
        assert "broke off before its end" in run(frameworks, sdk, stub_door)["broken"]
