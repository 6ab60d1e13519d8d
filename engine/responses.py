"""What a responses stream says of itself and of its order, as Ollama says it."""

from __future__ import annotations

from engine.frames import END, payload
from engine.wire import dumps

ABOUT_RESPONSE = frozenset(f"response.{state}" for state in ("created", "in_progress", "completed", "failed"))
ABOUT_CONTENT = ("response.content_part.", "response.output_text.")
ABOUT_TEXT = ("response.output_text.",)


class ResponseOrder:
    """Completes llama.cpp's frames: it leaves out what clients put a response together by."""

    def __init__(self) -> None:
        self._number = 0
        self._output = -1
        self._content = -1

    def amend(self, frame: bytes) -> bytes:
        """Returns the frame with its number, and with the places of what it is about."""
        event = payload(frame)
        if event is None or "type" not in event:
            return frame
        kind = event["type"]
        if kind == "response.output_item.added":
            self._output, self._content = self._output + 1, -1
        elif kind == "response.content_part.added":
            self._content += 1
        if kind in ABOUT_RESPONSE:
            event["response"].setdefault("output", [])
        else:
            event["output_index"] = self._output
        if kind.startswith(ABOUT_CONTENT):
            event["content_index"] = self._content
        if kind.startswith(ABOUT_TEXT):
            event["logprobs"] = []
        event["sequence_number"] = self._number
        self._number += 1
        return f"event: {kind}\ndata: ".encode() + dumps(event) + END
