"""Whether SQLite's one write lock is to be had: while somebody keeps it, no key can be issued and none revoked."""

from __future__ import annotations

import sqlite3
import time

from django.db import connection

# Held for longer than this by one writer, without a commit, it is no ordinary write any more.
STUCK_SECONDS = 1.0


class WriteLock:
    """Looks at the lock now and then, in one thread, over a connection of its own that waits for nobody.

    It takes the lock and gives it back at once, which writes nothing; other writers wait for it as for each other.
    """

    def __init__(self) -> None:
        self.stuck = False  # what was found the last time; read by all threads
        self._since: float | None = None
        self._version = 0
        self._connection: sqlite3.Connection | None = None

    def look(self) -> None:
        """Tries the lock; other databases have none like it."""
        if connection.vendor != "sqlite":
            return
        now = time.monotonic()
        if self._try():
            self._since = None
        elif self._since is None:
            self._since = now
        self.stuck = self._since is not None and now - self._since > STUCK_SECONDS

    def close(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _try(self) -> bool:
        """Tells whether the lock could be had, or has changed hands since the last time."""
        try:
            if self._connection is None:
                parameters = {**connection.get_connection_params(), "timeout": 0, "isolation_level": None}
                self._connection = sqlite3.connect(**parameters)
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.execute("ROLLBACK")
            except sqlite3.OperationalError:
                # Many short writes can be in the way each time; then something is committed in between.
                before, (self._version,) = self._version, self._connection.execute("PRAGMA data_version").fetchone()
                return self._version != before
        except sqlite3.Error:
            self.close()
            return False
        return True
