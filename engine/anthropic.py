"""Token counts of a messages stream, as Ollama gives them."""

from __future__ import annotations

from engine.frames import END, payload
from engine.wire import dumps


class MessageCounts:
    """Completes the counts in llama.cpp's frames: cached input is left out there, and the last frame has no input."""

    def __init__(self) -> None:
        self._input = 0

    def amend(self, frame: bytes) -> bytes:
        """Returns the frame with Ollama's counts where it carries any."""
        event = payload(frame)
        kind = event.get("type") if event else None
        if event is None or kind not in ("message_start", "message_delta"):
            return frame
        if kind == "message_start":
            usage = event["message"]["usage"]
            self._input = usage["input_tokens"] + usage.pop("cache_read_input_tokens", 0)
        else:
            usage = event["usage"]
        usage["input_tokens"] = self._input
        return f"event: {kind}\ndata: ".encode() + dumps(event) + END
