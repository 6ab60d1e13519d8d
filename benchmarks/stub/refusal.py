"""The exception that carries an answer other than the one asked for."""

from __future__ import annotations


class Refusal(Exception):
    """An answer other than the one asked for: a status and Ollama's text."""

    def __init__(
        self, status: int, text: str, *, plain: bool = False, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text
        self.plain = plain
        self.headers = headers
