"""Makes sure that limits are exact: they are counted in this process alone, or by all through Redis."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class NotSole(Exception):
    """Another process counts the limits of this gateway; the text says what to do."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"Another gateway process uses {folder}, or the same database: limits would not be exact. Stop it, give "
            "both the same REDIS_URL to count together, or set LIMITS=per-process to let each count for itself."
        )


class Sole:
    """The locks that say: limits are counted here; one beside the journal, and one beside a database that is a file."""

    def __init__(self, folder: Path, database: Path | None = None) -> None:
        self.folder = folder
        self.files = [
            folder / "limits.lock",
            *([database.with_name(f"{database.name}-limits.lock")] if database else []),
        ]
        self._descriptors: list[int] = []

    def take(self, *, shared: bool = False) -> bool:
        """Takes the locks, which others that share their limits may hold too; returns whether they were free.

        Raises OSError where the folder can't be written.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in self.files:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._descriptors.append(descriptor)
            try:
                fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except OSError:
                self.free()
                return False
        return True

    def free(self) -> None:
        """Frees the locks."""
        while self._descriptors:
            os.close(self._descriptors.pop())
