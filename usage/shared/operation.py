"""What is to be done in the shared ledger, and who waits for it."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from usage.ledger import Unavailable

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class Operation:
    """One thing to be done there; `late` is called when it was done though nobody waits for it any more."""

    __slots__ = ("at", "coming", "late", "what")

    def __init__(
        self, what: list[Any], coming: asyncio.Future[Any] | None = None, late: Callable[[], None] | None = None
    ) -> None:
        self.what = what
        self.coming = coming
        self.late = late
        self.at = monotonic()

    @property
    def given_up(self) -> bool:
        """Tells whether somebody asked and waits no more."""
        return self.coming is not None and self.coming.done()

    def answer(self, said: Any) -> None:
        """Hands the answer over."""
        if self.coming is not None and not self.coming.done():
            self.coming.set_result(said)
        elif self.late is not None:
            self.late()

    def fail(self) -> None:
        """Tells who waits that no answer comes in time."""
        if self.coming is not None and not self.coming.done():
            self.coming.set_exception(Unavailable())
