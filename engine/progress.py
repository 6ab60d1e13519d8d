"""Progress of a long step: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Self, TextIO

SHORTEST_BAR = 5  # characters; without room for that there is no bar
LINE_EVERY = 10.0  # seconds between two plain lines
BAR = 30  # characters, where there is room
MB = 1_000_000


class Progress:
    """Shows how many of `total` bytes are there; `total` is 0 where nobody knows it.

    with Progress("Fetching the model", 93_000_000) as progress:
        progress.show(1_000_000)
    """

    def __init__(self, title: str, total: int = 0, stream: TextIO | None = None) -> None:
        self.title = title
        self.total = total
        self.stream = stream or sys.stderr
        self.terminal = self.stream.isatty()
        self.started = self.last = time.monotonic()

    def __enter__(self) -> Self:
        if self.terminal:
            self.show(0)
        else:
            self._write(f"{self.title} …\n")
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        seconds = time.monotonic() - self.started
        ending = f"done in {seconds:.0f} s" if error is None else "failed"
        self._write(f"\r\x1b[K{self.title}: {ending}\n" if self.terminal else f"{self.title}: {ending}\n")

    def show(self, done: int) -> None:
        """Redraws the bar, or writes a line when the last one is old."""
        # What is unpacked may be larger than what was to be fetched.
        if self.total and done > self.total:
            text = "unpacking"
        elif self.total:
            text = f"{done / MB:.0f} MB of {self.total / MB:.0f} MB ({done / self.total:.0%})"
        else:
            text = f"{done / MB:.0f} MB"
        if self.terminal:
            self._write(f"\r\x1b[K{self._line(min(done / self.total, 1.0) if self.total else None, text)}")
        elif time.monotonic() - self.last >= LINE_EVERY:
            self.last = time.monotonic()
            self._write(f"{self.title}: {text}\n")

    def _line(self, part: float | None, text: str) -> str:
        """Fits title, bar and text into the terminal's width: a line that wraps can't be drawn over."""
        columns = shutil.get_terminal_size().columns - 1
        room = min(BAR, columns - len(self.title) - len(text) - len(" [] "))
        bar = f" [{'#' * round(part * room):<{room}}]" if part is not None and room >= SHORTEST_BAR else ""
        title = self.title[: max(0, columns - len(bar) - len(text) - 1)]
        return f"{title}{bar} {text}"[:columns]

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()
