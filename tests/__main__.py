"""Runs pytest, and leaves no process behind however it ends: `python -m tests [any of pytest's arguments]`."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import psutil

from tests.harness import RUN_MARKER

# How long fixtures get to stop what they started, in seconds, before it is killed.
TEARDOWN_SECONDS = 20.0
KILL_SECONDS = 5.0


def main(arguments: list[str]) -> int:
    """Runs pytest with these arguments; returns its exit code, or 128 and the number of the signal that ended it."""
    marker = secrets.token_hex(8)
    received: list[int] = []
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments], env={**os.environ, RUN_MARKER: marker}
    ) as pytest:

        def end(number: int, _frame: object) -> None:
            received.append(number)
            # A terminal's Ctrl-C reaches pytest by itself; a second interrupt would cut its teardown short.
            if number == signal.SIGTERM:
                # Workers first: pytest would wait for the tests that they are at.
                for process in (*psutil.Process(pytest.pid).children(), pytest):
                    process.terminate()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        while pytest.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                pytest.wait(TEARDOWN_SECONDS if received else None)
                break
            if received:
                pytest.kill()
    kill_marked(marker)
    return 128 + received[0] if received else pytest.returncode


def kill_marked(marker: str) -> None:
    """Kills the processes that this run of the tests started and did not stop."""
    left = list(marked(marker))
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=KILL_SECONDS)


def marked(marker: str) -> Iterator[psutil.Process]:
    """Yields the processes that have the run's marker in their environment."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(RUN_MARKER) == marker:
                yield process


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
