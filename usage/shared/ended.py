"""What killed processes had reserved in the shared ledger, charged as in the account.

A process may die between what it tells Redis and what it writes to its journal.  The journal, once it is in the
database, is what counts: whoever takes it over corrects the shared ledger by it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from usage.ledger import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping

    from usage.shared.ledger import SharedLedger

    # Takes the names of reservations and the time (epoch seconds) since when the first of them is held; returns the
    # tokens of those that are calls of the journal, 0 for calls that are not in the database.
    Charged = Callable[[Iterable[str], float], Mapping[str, int]]

# How long a thread waits for one answer of Redis.
WAIT_SECONDS = 5.0

log = logging.getLogger("gateway.limits")


class EndedProcesses:
    """Corrects the shared ledger of this process, `own`, by the account."""

    def __init__(self, ledger: SharedLedger, own: str, charged: Charged) -> None:
        self.ledger = ledger
        self.own = own
        self.charged = charged
        self.loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begins, on the running event loop, once the ledger is started."""
        self.loop = asyncio.get_running_loop()

    def conclude(self, process: str) -> bool:
        """Ends what a process had reserved whose journal is in the database; blocks, in a thread of the caller's.

        Returns whether the shared ledger knows; if not, the journal's files must be kept, and this be tried again.
        Raises the database's errors.
        """
        loop = self.loop
        if loop is None or self.ledger.stopped:
            return process == self.own and self.ledger.said_bye
        try:
            held = self._wait(loop, self.ledger.held_by(process))
            charged = self.charged(held, min(held.values())) if held else {}
            count = self._wait(loop, self.ledger.conclude(process, charged))
        except (Unavailable, TimeoutError):
            return False
        if count:
            log.warning("A process was not heard of any more: its calls (%d) are charged as in the account.", count)
        return True

    @staticmethod
    def _wait(loop: asyncio.AbstractEventLoop, asked: Coroutine[Any, Any, Any]) -> Any:
        answer = asyncio.run_coroutine_threadsafe(asked, loop)
        try:
            return answer.result(WAIT_SECONDS)
        except TimeoutError:
            answer.cancel()
            raise
