"""Progress of a long step: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Self, TextIO

LINE_EVERY = 10.0  # seconds between two plain lines
BAR = 30  # characters
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
        done = min(done, self.total) if self.total else done
        text = f"{done / MB:.0f} MB"
        part = done / self.total if self.total else 0.0
        if self.total:
            text = f"{text} of {self.total / MB:.0f} MB ({part:.0%})"
        if self.terminal:
            bar = f" [{'#' * round(part * BAR):<{BAR}}]" if self.total else ""
            self._write(f"\r\x1b[K{self.title}{bar} {text}")
        elif time.monotonic() - self.last >= LINE_EVERY:
            self.last = time.monotonic()
            self._write(f"{self.title}: {text}\n")

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()
