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
            f"Another gateway process uses {folder}: limits would not be exact. Stop it, give both the same REDIS_URL "
            "to count together, or set LIMITS=per-process to let each count for itself."
        )


class Sole:
    """A lock on a file that says: limits are counted here."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._descriptor = -1

    def take(self, *, shared: bool = False) -> bool:
        """Takes the lock, which others that share their limits may hold too; returns whether it was free.

        Raises OSError where the folder can't be written.
        """
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def free(self) -> None:
        """Frees the lock."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
