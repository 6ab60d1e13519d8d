"""Keeps the keys and limits in memory in step with the database, from a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from django.db import close_old_connections, connection

from apikeys.guesses import guesses
from apikeys.keyring import KeyRing, ring
from apikeys.models import AttemptCount, KeyRevision
from apikeys.reach import Reach
from apikeys.redigest import NewDigests, new_digests
from apikeys.snapshot_reader import changed_since, read_all, read_since
from apikeys.writelock import WriteLock

if TYPE_CHECKING:
    from collections.abc import Callable

    from apikeys.keyring import Limits

POLL_SECONDS = 0.25
WRITE_SECONDS = 10.0
# A database that has not answered for this long is away, though nobody has said so.
SILENCE_SECONDS = 2.0
# How often the trail's end is written to the log, where no writer of the database can change it.
SAY_SECONDS = 3600.0
# Longer than a poll takes, shorter than anyone minds: how long a request with an unknown key may wait for one.
REFRESH_TIMEOUT = 1.0
# Below what such a request waits: when its wait was in vain, "unknown" is not certain.
UNSURE_SECONDS = 0.9 * REFRESH_TIMEOUT
STOP_TIMEOUT = 5.0

Read = TypeVar("Read")

trail = logging.getLogger("gateway.audit")


class KeyFeed:
    """Reads changed keys and limits four times a second, as one snapshot, and hands them to the ring.

    A key whose limits can't be read does not get into the ring.  While the database is away, the ring keeps what it
    knows and the feed keeps trying.
    """

    def __init__(self, ring: KeyRing, new_digests: NewDigests = new_digests) -> None:
        self.listeners: list[Callable[[], None]] = []  # called from the feed's thread after each change of the ring
        # Called from the feed's thread with the former limits and the next ones; what it raises puts the change off.
        self.before_change: Callable[[Limits, Limits], None] = lambda _former, _next: None
        self._ring = ring
        self._new_digests = new_digests
        self._reach = Reach(
            "changes of keys and limits are not seen until it is back; the known ones go on working for a while"
        )
        self._write_lock = WriteLock()
        self._seen = 0
        self._said = 0
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._waiting: list[asyncio.Future[bool]] = []

    def start(self) -> None:
        """Loads all keys, then follows their changes; raises the database's error if they can't be loaded."""
        if self._threads:
            return
        try:
            self.load()
        finally:
            close_old_connections()
        self._reach.lost, self._reach.reached_at = False, time.monotonic()
        self._stopping.clear()
        # Writing has a thread of its own: a held write lock must not delay a revocation.
        self._threads = [
            threading.Thread(target=self._follow, name="key-feed", daemon=True),
            threading.Thread(target=self._write_notes, name="key-notes", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stops following, and stores what was counted; returns after five seconds at most."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(STOP_TIMEOUT / len(self._threads))
        self._threads = []
        self._release(self._take_waiting(), done=False)

    async def refreshed(self, timeout: float = REFRESH_TIMEOUT) -> bool:  # noqa: ASYNC109 -- a bound, with an answer of its own
        """Waits until a poll that starts after this call is over; returns False if none was within `timeout` seconds.

        No request makes the feed poll: any number of them wait for the same next one.
        """
        if not self._threads:
            return False
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._waiting.append(waiter)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                return await waiter
        return False

    def load(self) -> None:
        """Reads all keys and limits."""
        found = self._read(read_all)
        self.before_change(self._ring.snapshot.limits, found.limits)
        self._ring.replace(found.entries, found.limits)
        self._seen = found.revision
        self._tell()

    def poll(self) -> None:
        """Reads what changed since the last time."""
        latest = KeyRevision.seen()
        if latest == self._seen:
            return
        found = None
        if latest > self._seen:
            found = self._read(lambda: read_since(self._seen, self._ring.snapshot.limits))
        if found is None:  # an older database was put back
            self.load()
            return
        self.before_change(self._ring.snapshot.limits, found.limits)
        self._ring.change(found.entries, found.ended, found.limits)
        self._seen = found.revision
        self._tell()

    def _read(self, read: Callable[[], Read]) -> Read:
        """Reads keys with their limits; where that fails, keys and secrets that have ended are removed all the same."""
        try:
            return read()
        except Exception:
            if connection.connection is not None and connection.is_usable():
                self._remove_ended()
            raise

    def _remove_ended(self) -> None:
        """Removes the keys and secrets that have ended since the last snapshot: that needs no limits."""
        usable, ended = changed_since(self._seen)
        removed = [*map(self._ring.drop, ended), *map(self._ring.narrow, usable)]
        if any(removed):
            self._tell()

    @property
    def lost(self) -> bool:
        """Tells whether the database is away, as far as is known."""
        return self._reach.lost or self.silence > SILENCE_SECONDS

    @property
    def unsure(self) -> bool:
        """Tells whether an unknown key may become known: the last poll is too old, or no key can be stored."""
        return self.silence > UNSURE_SECONDS or self.lost or self._write_lock.stuck

    @property
    def outage(self) -> float:
        """For how many seconds the database has been away; 0 while it is not."""
        return self.silence if self.lost else 0.0

    @property
    def silence(self) -> float:
        """How many seconds ago the database was last heard of; 0 where nobody listens."""
        return time.monotonic() - self._reach.reached_at if self._threads else 0.0

    def _tell(self) -> None:
        for listener in self.listeners:
            listener()

    def _follow(self) -> None:
        reach = self._reach
        while not self._stopping.wait(POLL_SECONDS):
            waiting = self._take_waiting()
            # After an outage all is read anew: what came back may be another copy of the database.
            done = reach.attempt(self.load if reach.lost else self.poll)
            self._release(waiting, done=done)
            self._write_lock.look()
        self._write_lock.close()
        connection.close()

    def _write_notes(self) -> None:
        reach = Reach("invalid keys are counted in memory until it is back")
        say_at = time.monotonic()
        while not self._stopping.wait(WRITE_SECONDS):
            reach.attempt(self._write)
            if time.monotonic() >= say_at and reach.attempt(self._say_end):
                say_at = time.monotonic() + SAY_SECONDS
        reach.attempt(self._write)
        connection.close()

    def _say_end(self) -> None:
        head = KeyRevision.objects.filter(pk=1).first()
        if head is not None and head.latest != self._said:
            trail.info("The audit trail ends at %s.", head.end)
            self._said = head.latest

    def _write(self) -> None:
        self._new_digests.write()
        counts = guesses.take()
        try:
            AttemptCount.add(counts)
        except Exception:
            guesses.give_back(counts)
            raise

    def _take_waiting(self) -> list[asyncio.Future[bool]]:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        return waiting

    @staticmethod
    def _release(waiting: list[asyncio.Future[bool]], *, done: bool) -> None:
        for waiter in waiting:
            with contextlib.suppress(RuntimeError):  # its loop was closed meanwhile
                waiter.get_loop().call_soon_threadsafe(_settle, waiter, done)


def _settle(waiter: asyncio.Future[bool], done: bool) -> None:  # noqa: FBT001 -- call_soon passes no names
    if not waiter.done():
        waiter.set_result(done)


feed = KeyFeed(ring)
