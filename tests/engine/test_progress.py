"""Progress on a terminal and elsewhere."""

from __future__ import annotations

import io

import pytest

from engine import progress
from engine.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_a_bar_that_grows() -> None:
    screen = Terminal()
    with Progress("Fetching", 10_000_000, screen) as bar:
        bar.show(5_000_000)
    assert f"[{'#' * 15}{' ' * 15}] 5 MB of 10 MB (50%)" in screen.getvalue()
    assert screen.getvalue().endswith("Fetching: done in 0 s\n")


def test_a_bar_never_passes_its_end() -> None:
    screen = Terminal()
    with Progress("Fetching", 10_000_000, screen) as bar:
        bar.show(99_000_000)
    assert f"[{'#' * 30}] unpacking" in screen.getvalue()
    assert "99 MB" not in screen.getvalue()


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
@pytest.mark.parametrize("total", [0, 93_000_000])
def test_a_line_fits_the_terminal(columns: int, total: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    screen = Terminal()
    with Progress("Fetching the demo model SmolLM2 (135 M parameters), 93 MB, Apache 2.0", total, screen) as bar:
        for done in (0, 50_000_000, 93_000_000, 400_000_000):
            bar.show(done)
    drawn = screen.getvalue().rpartition("\r")[0].replace("\x1b[K", "").split("\r")
    assert all(len(line) < columns for line in drawn)
    assert "MB" in drawn[1]


def test_a_log_sees_plain_lines_and_few_of_them() -> None:
    log = io.StringIO()
    with Progress("Fetching", 10_000_000, log) as bar:
        for done in range(100):
            bar.show(done)
    assert log.getvalue() == "Fetching …\nFetching: done in 0 s\n"


def test_a_long_wait_is_told_in_a_log_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    log = io.StringIO()
    with Progress("Fetching", 10_000_000, log) as bar:
        bar.show(5_000_000)
    assert "Fetching: 5 MB of 10 MB (50%)\n" in log.getvalue()


def test_a_failure_is_not_called_done() -> None:
    log = io.StringIO()
    with pytest.raises(RuntimeError), Progress("Fetching", 0, log):
        raise RuntimeError
    assert log.getvalue().endswith("Fetching: failed\n")
