"""Brings a journal's folder into the database: this process's segments, and those of writers that died."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from usage import segments
from usage.applying import Overtaken, Place, apply, forget, offsets_of, place_of
from usage.lines import Admitted, Record, only_admits, read

# Of the journal a transaction, in bytes: some 1,500 lines, and about ten milliseconds of SQLite's one write lock.
BATCH = 3 * 2**18

log = logging.getLogger("gateway.usage")


class Replay:
    """What is known of the segments in a folder: how far each is applied."""

    def __init__(
        self,
        folder: Path,
        go_on: Callable[[], bool] = lambda: True,
        conclude: Callable[[str], bool] = lambda _writer: True,
    ) -> None:
        self.folder = folder
        # Called with a dead writer when its segments are applied.  Until it returns True they are kept.
        self._conclude = conclude
        self.places: dict[Path, Place] = {}
        # The offsets up to which other living writers have applied their segments, as the database last said.
        self.foreign: dict[Path, int] = {}
        self._go_on = go_on

    def run(self, own: str) -> None:
        """Applies all there is; `own` is the writer of this process, "" for none.

        Stops early when it is told to.  Raises the database's errors and OSError; what is applied by then stays so.
        """
        found = segments.by_writer(self.folder)
        known = {path for paths in found.values() for path in paths}
        self.places = {path: place for path, place in self.places.items() if path in known}
        living: list[Path] = []
        for writer in sorted({*found, *segments.locks(self.folder)}, key=lambda writer: writer != own):
            try:
                if writer == own:
                    self.follow(found.get(writer, []))
                elif not self.take_over(writer):
                    living += found.get(writer, [])
            except Overtaken:
                self.places.clear()  # and read anew next time
        if living or self.foreign:
            offsets = offsets_of(path.name for path in living)
            self.foreign = {path: offsets.get(path.name, 0) for path in living}

    def applied(self, path: Path) -> int:
        """Returns the offset up to which a segment is applied, as far as is known without asking the database."""
        place = self.places.get(path)
        return place.offset if place is not None else self.foreign.get(path, 0)

    def follow(self, paths: list[Path]) -> None:
        """Applies a living writer's segments, and deletes those that it has left behind."""
        for path in paths:
            self.apply(path)
        for path, successor in pairwise(paths):
            # A successor's first write names the calls that are open: until then, this one is needed for them.
            if self.is_applied(path) and segments.size(successor):
                self.delete([path])

    def take_over(self, writer: str) -> bool:
        """Applies a dead writer's segments, records the calls that it left open as lost, and deletes them.

        Returns whether the writer is dead.
        """
        # Before its lock is touched.
        alive = segments.last_sign(self.folder, writer, segments.by_writer(self.folder).get(writer, []))
        with segments.taken_over(self.folder, writer) as taken:
            if not taken:
                return False
            paths = segments.by_writer(self.folder).get(writer, [])
            for path in paths:
                self.apply(path)
            if not self._go_on():
                return True
            if paths:
                self.settle(paths, alive)
            if not self._conclude(writer):
                return True
            self.delete(paths)
            (self.folder / f"{writer}.lock").unlink(missing_ok=True)
        return True

    def apply(self, path: Path) -> None:
        """Applies a segment's whole lines, portion by portion."""
        place = self.place(path)
        while not place.settled and self._go_on():
            end = segments.end_of_lines(path, place.offset, BATCH)
            if end == place.offset:
                return
            lines = segments.lines_between(path, place.offset, end)
            told = (line for line in lines if not only_admits(line))
            records = (said for line in told if isinstance(said := self.said(line, path), Record))
            apply(path.name, records, start=place.offset, end=end)
            self.places[path] = place = Place(end, settled=False)

    def settle(self, paths: list[Path], alive: float) -> None:
        """Records the calls that these, all of a dead writer's segments, leave open; it was last `alive` then."""
        last = paths[-1]
        place = self.place(last)
        if not place.settled:
            lost = [call.lost_at(alive) for call in self.open_calls(paths)]
            if lost:
                log.warning(
                    "%d calls were cut off by the end of their server: charged what they can have written.", len(lost)
                )
            apply(last.name, lost, start=place.offset, end=place.offset, settle=True)
            self.places[last] = Place(place.offset, settled=True)

    def open_calls(self, paths: list[Path]) -> list[Admitted]:
        """Returns the calls that were admitted and never ended, of segments that are applied to their end."""
        calls: dict[str, Admitted] = {}
        for path in paths:
            for line in segments.lines_between(path, 0, self.place(path).offset):
                match read(line):
                    case Admitted() as begun:
                        calls[begun.call] = begun
                    case Record() as ended:
                        calls.pop(ended.call, None)
        return list(calls.values())

    def delete(self, paths: list[Path]) -> None:
        """Deletes applied segments, the oldest first, and then forgets them: in this order none is applied again."""
        for path in paths:
            path.unlink(missing_ok=True)
            self.places.pop(path, None)
        if paths:
            forget(path.name for path in paths)

    def place(self, path: Path) -> Place:
        """Returns how far a segment is applied; the database is asked once."""
        if path not in self.places:
            self.places[path] = place_of(path.name)
        return self.places[path]

    def is_applied(self, path: Path) -> bool:
        """Tells whether a segment that is written no more is in the database."""
        offset = self.place(path).offset
        return segments.end_of_lines(path, offset, 1) == offset

    @staticmethod
    def said(line: bytes, path: Path) -> Admitted | Record | None:
        """Returns what a line says; a broken one has its line in the log."""
        said = read(line)
        if said is None:
            log.error("A line of the journal in %s can't be read; it is left out.", path.name)
        return said
