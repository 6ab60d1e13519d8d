"""Keeps the account: a thread that brings the journal into the database."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from django.db import connection

from usage.depth import Depth, Waiting
from usage.replay import Replay
from usage.segments import beat, by_writer

TICK = 0.5
DRAIN_SECONDS = 10.0
# How long a locked database file is waited for: how full the journal is must not stay unknown for longer.
LOCK_SECONDS = 2.0

log = logging.getLogger("gateway.usage")


class Keeper:
    """Applies the journal in `folder`, which may grow up to `max_bytes` while the database is away.

    `conclude` is Replay's.
    """

    def __init__(self, folder: Path, max_bytes: int, conclude: Callable[[str], bool] = lambda _writer: True) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.depth = Depth(0, 0)
        self._own = ""
        self._stopping = threading.Event()
        self._deadline = float("inf")
        self._thread: threading.Thread | None = None
        self._replay = Replay(folder, self._has_time, conclude)
        self._waiting = Waiting()
        self._lost = False

    @property
    def full(self) -> bool:
        """Tells whether the journal has reached its bound; measured twice a second."""
        return self.depth.bytes >= self.max_bytes

    def catch_up(self) -> None:
        """Applies what dead processes left, in the caller's thread; raises the database's errors."""
        self._replay.run("")
        self._measure()

    def start(self, writer: str) -> None:
        """Begins to apply what `writer`, this process's journal, writes, and what others left."""
        self._own = writer
        beat(self.folder, writer)
        self._stopping.clear()
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._keep, name="usage-keeper", daemon=True)
        self._thread.start()

    def stop(self, seconds: float = DRAIN_SECONDS) -> None:
        """Applies the rest, for that long at most; the journal must be closed.  What is left is applied next time."""
        if self._thread is None:
            return
        self._deadline = monotonic() + seconds
        self._stopping.set()
        self._thread.join(seconds + 1)
        self._thread = None

    def _keep(self) -> None:
        if connection.vendor == "sqlite":
            options = {**connection.settings_dict["OPTIONS"], "timeout": LOCK_SECONDS}
            connection.settings_dict = {**connection.settings_dict, "OPTIONS": options}
        while not self._stopping.wait(TICK):
            beat(self.folder, self._own)
            self._attempt()
        self._own = ""  # closed, it is one of those that are left
        self._attempt()
        if self.depth.lines:
            log.warning("%d lines of the journal wait for the next start.", self.depth.lines)
        connection.close()

    def _attempt(self) -> None:
        """Applies what there is; while that fails the journal grows, which is said once."""
        try:
            self._replay.run(self._own)
        except Exception as error:  # noqa: BLE001 -- a thread that died of a surprise would let the journal grow for good
            if not self._lost:
                log.error(  # noqa: TRY400 -- one line is enough
                    "The account can't be brought into the database (%s): it is kept in %s until it can.",
                    type(error).__name__,
                    self.folder,
                )
            self._lost = True
            connection.close()  # the next attempt opens a new one: this one may be dead
        else:
            if self._lost:
                log.warning("The account is brought into the database again.")
            self._lost = False
        self._measure()

    def _measure(self) -> None:
        """Notes how much is not applied, of all writers, and logs when that reaches its bound or falls below."""
        was_full = self.full
        paths = [path for segments in by_writer(self.folder).values() for path in segments]
        self.depth = self._waiting.measure({path: self._replay.applied(path) for path in paths})
        if self.full and not was_full:
            log.error(
                "The journal in %s has reached JOURNAL_MAX_BYTES (%d bytes): bring the database back.",
                self.folder,
                self.max_bytes,
            )
        elif was_full and not self.full:
            log.warning("The journal is below JOURNAL_MAX_BYTES again.")

    def _has_time(self) -> bool:
        return monotonic() < self._deadline
