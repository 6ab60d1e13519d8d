"""The journal's files as they lie in its folder: whose they are, and their lines."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import time

is_segment = re.compile(r"([0-9a-f]{16})-(\d{6,})\.jsonl").fullmatch
# Read at once, in bytes: what is held does not depend on how much there is.
PORTION = 2**16


def by_writer(folder: Path) -> dict[str, list[Path]]:
    """Returns the segments of each writer, in their order; none where there is no folder."""
    found: dict[str, list[tuple[int, Path]]] = {}
    for path in folder.glob("*.jsonl"):
        named = is_segment(path.name)
        if named:
            found.setdefault(named[1], []).append((int(named[2]), path))
    return {writer: [path for _, path in sorted(segments)] for writer, segments in sorted(found.items())}


def locks(folder: Path) -> set[str]:
    """Returns the writers that have a lock, dead or alive."""
    return {path.stem for path in folder.glob("*.lock") if re.fullmatch(r"[0-9a-f]{16}", path.stem)}


@contextmanager
def taken_over(folder: Path, writer: str) -> Iterator[bool]:
    """Holds a dead writer's lock, so that no other process takes its segments; says False if the writer lives."""
    descriptor = os.open(folder / f"{writer}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def end_of_lines(path: Path, offset: int, most: int) -> int:
    """Returns the offset behind the last whole line within `most` bytes, or behind the first one if that is longer.

    Where there is no whole line, returns `offset`: a last line without its end is left for later.
    """
    end = at = offset
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        while (left := offset + most - at) > 0 or end == offset:
            portion = file.read(min(left, PORTION) if left > 0 else PORTION)
            if not portion:
                break
            found = portion.rfind(b"\n") if left > 0 else portion.find(b"\n")
            if found >= 0:
                end = at + found + 1
            at += len(portion)
    return end


def lines_between(path: Path, start: int, end: int) -> Iterator[bytes]:
    """Reads whole lines from one offset to another, one at a time, with the line's end.

    Raises OSError where they are not there any more: what was not read must not count as applied.
    """
    with path.open("rb", buffering=PORTION) as file:
        file.seek(start)
        while start < end:
            line = file.readline()
            if not line.endswith(b"\n"):
                raise OSError(f"{path.name} is shorter than it was")
            start += len(line)
            yield line


def beat(folder: Path, writer: str) -> None:
    """Notes that a writer is alive now: its lock's time says so when it is dead."""
    now = time()
    with suppress(OSError):
        os.utime(folder / f"{writer}.lock", (now, now))


def last_sign(folder: Path, writer: str, paths: Iterable[Path]) -> float:
    """Returns when a writer was last known to be alive, in epoch seconds: by its lock, or by what it wrote last."""
    times = [0.0]
    for path in (folder / f"{writer}.lock", *paths):
        with suppress(FileNotFoundError):
            times.append(path.stat().st_mtime)
    return max(times)


def size(path: Path) -> int:
    """Returns a file's size in bytes, 0 for one that is gone."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def count_lines(path: Path, offset: int) -> tuple[int, int]:
    """Returns how many lines end behind an offset, and the file's size."""
    count = 0
    try:
        with path.open("rb") as file:
            file.seek(offset)
            while portion := file.read(PORTION):
                count += portion.count(b"\n")
                offset += len(portion)
    except FileNotFoundError:
        pass
    return count, offset
