"""What can go wrong in the engine: EngineError is for people, Refusal is for a client."""

from __future__ import annotations


class EngineError(Exception):
    """The engine can't start; its text is one line that says what to do."""


class Refusal(Exception):
    """A request that is answered with an error.

    `status` is the HTTP status, `text` the message in Ollama's words.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
