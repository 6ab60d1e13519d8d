"""Whether a background thread reaches the database."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from django.db import connection

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)


class Reach:
    """One thread's view of the database; says once when that changes."""

    def __init__(self, consequence: str) -> None:
        self.lost = False
        self.reached_at = time.monotonic()
        self._consequence = consequence

    def attempt(self, step: Callable[[], object]) -> bool:
        """Runs the step; returns whether it went well."""
        began = time.monotonic()
        try:
            step()
        except Exception as error:  # noqa: BLE001 -- a thread that died of a surprise would let revoked keys live
            if not self.lost:
                log.error("The database can't be reached (%s): %s.", type(error).__name__, self._consequence)  # noqa: TRY400 -- one line is enough
            self.lost = True
            connection.close()  # the next attempt opens a new one: this one may be dead
            return False
        if self.lost:
            log.warning("The database is reached again.")
        self.lost = False
        self.reached_at = began
        return True
