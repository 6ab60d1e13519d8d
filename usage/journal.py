"""The account of this process on disk: a line when a call is admitted, a line when it has ended.

Lines go to the operating system one by one, without a sync: they survive the end of this process, however it ends, but
not the loss of power.  Another thread moves them to the database (usage/keeper.py) and deletes whole segments behind
itself; nothing is ever cut.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# A segment is closed at this size, so that what is in the database can leave the disk.
SEGMENT_BYTES = 4 * 2**20
# So much is kept in memory while the disk takes nothing; then lines are lost, and counted.
MAX_BACKLOG = 64 * 2**20


class Journal:
    """This process's segments, `<writer>-<number>.jsonl` in a folder.

    The writer holds a lock on `<writer>.lock` for as long as it lives; whoever gets that lock may take over what the
    writer left.  Each segment begins with the lines of the calls that were open then, so that the ones before it can
    go.  `broken` says that the disk refuses lines.  While `is_full` says so, calls that begin leave none.  `dropped`
    counts the lines that were lost to either.
    """

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.folder = folder
        self.segment_bytes = segment_bytes
        self.writer = secrets.token_hex(8)
        self.number = 0
        self.size = 0
        self.broken = False
        self.dropped = 0
        self.is_full: Callable[[], bool] = lambda: False
        self._left_out: set[str] = set()
        self.open_calls: dict[str, dict[str, Any]] = {}
        self._file = -1
        self._lock = -1
        self._backlog = bytearray()

    @property
    def segment(self) -> Path:
        """The path of the segment that is being written."""
        return self.folder / f"{self.writer}-{self.number:06d}.jsonl"

    def open(self) -> None:
        """Takes the writer's lock and begins the first segment; raises OSError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(self.folder / f"{self.writer}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.rotate()

    def rotate(self) -> None:
        """Closes the segment and begins another with the calls that are open; raises OSError."""
        if self._backlog:
            self._write(b"")
        number = self.number + 1
        path = self.folder / f"{self.writer}-{number:06d}.jsonl"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        old, self._file, self.number, self.size = self._file, file, number, 0
        if old >= 0:
            os.close(old)
        again = b"".join(orjson.dumps({**line, "again": True}) + b"\n" for line in self.open_calls.values())
        if again:
            self._write(again)

    def append(self, line: dict[str, Any]) -> bool:
        """Writes one line; returns whether the disk took it.

        Never raises: a full disk must not cost an answer.  What it does not take is kept in memory and written with the
        next line, or by `flush`.
        """
        call = line["call"]
        if line["event"] != "admitted":
            self.open_calls.pop(call, None)
        elif self.is_full():
            self._left_out.add(call)
        else:
            self.open_calls[call] = line
        if call in self._left_out or len(self._backlog) > MAX_BACKLOG:
            self.dropped += 1  # what is older is worth more: it is in order
            if line["event"] != "admitted":
                self._left_out.discard(call)
            return False
        return self._append(line)

    def update(self, call: str, **said: Any) -> None:
        """Writes what has changed of an open call's line.

        While the journal is full this is kept in memory alone; the next segment begins with it.
        """
        line = self.open_calls.get(call)
        if line is not None:
            line = self.open_calls[call] = {**line, **said}
            if not self.is_full() and len(self._backlog) <= MAX_BACKLOG:
                self._append({**line, "again": True})

    def close(self) -> None:
        """Closes the segment and frees the lock; what is on disk stays for whoever comes next."""
        if self._backlog:
            self.flush()
        for descriptor in (self._file, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._lock = -1

    def flush(self) -> bool:
        """Writes what the disk did not take before; returns whether nothing is left."""
        try:
            self._write(b"")
        except OSError:
            self.broken = True
        else:
            self.broken = False
        return not self.broken

    def _append(self, line: dict[str, Any]) -> bool:
        try:
            self._write(orjson.dumps(line) + b"\n")
            if self.size > self.segment_bytes:
                self.rotate()
        except OSError:
            self.broken = True
            return False
        self.broken = False
        return True

    def _write(self, data: bytes) -> None:
        if not self._backlog:
            try:
                written = os.write(self._file, data)
            except OSError:
                self._backlog += data
                raise
            self.size += written
            data = data[written:]
            if not data:
                return
        # What a full disk did not take, be it half a line, goes first, so that no line is ever torn or out of order.
        self._backlog += data
        while self._backlog:
            written = os.write(self._file, self._backlog)
            self.size += written
            del self._backlog[:written]
