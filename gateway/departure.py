"""The end of a request's client, told to whoever works for it."""

from __future__ import annotations

from collections.abc import Callable


def nobody() -> None:
    """Is told where nobody wants to know."""


class Departure:
    """Tells one listener that the client is gone, once; the server puts it into the scope as `departure`.

    ASGI's own way is a task that waits in `receive` beside each request's own.
    """

    __slots__ = ("listener", "over")

    def __init__(self) -> None:
        self.over = False
        self.listener: Callable[[], None] = nobody

    def tell(self, listener: Callable[[], None]) -> None:
        """Calls the listener when the client goes, at once if it is gone."""
        self.listener = listener
        if self.over:
            listener()

    def happen(self) -> None:
        """Says that the client is gone."""
        self.over = True
        self.listener()
