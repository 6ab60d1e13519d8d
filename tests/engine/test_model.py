"""The names that the demo model answers to."""

from __future__ import annotations

import pytest

from engine.model import is_known


@pytest.mark.parametrize(
    "name",
    [
        "smollm2:135m",
        "smollm2",
        "smollm2:latest",
        "SmolLM2:135M",
        " smollm2:135m ",
        "library/smollm2:135m",
        "registry.ollama.ai/library/smollm2:135m",
        "https://registry.ollama.ai/library/smollm2:135m",
        "smollm2:135m:local",
    ],
)
def test_every_spelling_of_the_demo_model_is_known(name: str) -> None:
    assert is_known(name)


@pytest.mark.parametrize("name", ["", "mistral", "smollm2:1.7b", "smollm", "other/smollm2", "smollm2:cloud"])
def test_any_other_name_is_unknown(name: str) -> None:
    assert not is_known(name)
