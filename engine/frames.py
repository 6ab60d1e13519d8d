"""Cuts llama.cpp's event streams into frames."""

from __future__ import annotations

import json
from typing import Any

END = b"\n\n"
# In a JSON string the quotes would be escaped, so these bytes are always a key.
PROGRESS = b'"prompt_progress":'


class Frames:
    """Collects bytes as they arrive and gives back whole frames, each with the blank line that ends it."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Returns the frames that these bytes complete."""
        *whole, self._rest = (self._rest + data).split(END)
        return [frame + END for frame in whole if frame.strip()]


def is_progress(frame: bytes) -> bool:
    """Tells whether the frame only reports how much of the prompt is read."""
    return PROGRESS in frame


def payload(frame: bytes) -> dict[str, Any] | None:
    """Returns the JSON object of a frame's data line, or None for `[DONE]` and comments."""
    for line in frame.splitlines():
        name, _, value = line.partition(b":")
        if name in (b"data", b"error") and value.strip() not in (b"", b"[DONE]"):
            decoded = json.loads(value)
            return decoded if isinstance(decoded, dict) else None
    return None
