"""A guess at how many tokens a prompt has, for when Ollama never says."""

from __future__ import annotations

from typing import Any

# English text has about four characters a token; Ollama guesses with the same number.
CHARACTERS_A_TOKEN = 4
# Media count elsewhere: their base64 is no text.
MEDIA = frozenset({"images", "image_url", "source", "input_audio", "data"})


def tokens_of(characters: int) -> int:
    """Returns the estimated tokens of a text with this many characters."""
    return -(-characters // CHARACTERS_A_TOKEN)


def characters(value: Any) -> int:
    """Counts the characters of all strings in a JSON value, media left out."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list):
        return sum(map(characters, value))
    if isinstance(value, dict):
        return sum(characters(inner) for name, inner in value.items() if name not in MEDIA)
    return 0
