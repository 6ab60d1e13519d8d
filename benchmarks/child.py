"""A process of the bench that is told what to do by JSON lines and answers in JSON lines."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Self

from benchmarks.cores import pinned
from benchmarks.started import BASE_DIR


class TrialFailed(Exception):
    """A server gave a wrong answer, or none; its text says which."""


class Child:
    """A module run as a process of its own, pinned to a core; ends with the block."""

    def __init__(self, module: str, core: int | None) -> None:
        with pinned(core):
            self.process = subprocess.Popen(  # noqa: S603 -- a module of ours
                [sys.executable, "-m", module],
                cwd=BASE_DIR,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.terminate()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()
        self.process.wait()

    def ask(self, what: object, whom: str) -> Any:
        """Sends one thing and returns the answer; raises TrialFailed with the name of the server that it concerns."""
        if not self.process.stdin or not self.process.stdout:
            raise TrialFailed("the load process has no pipes")
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        said = self.process.stdout.readline()
        if not said:
            raise TrialFailed("the load process ended: the lines above say why")
        answer = json.loads(said)
        if isinstance(answer, dict) and "failure" in answer:
            raise TrialFailed(f"{whom}: {answer['failure']}")
        return answer
