"""Starts the stub in a process of its own and asks it what reached it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

SCRIPT = Path(__file__).resolve().parent / "stub_ollama.py"
POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Recorded:
    """A request as it reached the stub; times are `time.monotonic()` in seconds, comparable between processes.

    `ended` is empty while the answer is under way, else `done`, `cut` (the stub failed as asked) or `cancelled`
    (the other side closed the connection first). `chunks` counts the chunks written so far.
    `closed_at` is when its connection closed, None while it is open.
    """

    number: int
    connection: int
    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    route: str
    received_at: float
    chunks: int
    ended: str
    ended_at: float | None
    closed_at: float | None

    def header(self, name: str) -> str | None:
        """Returns a header's value by name, whatever its case; None when absent."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def json(self) -> Any:
        """Returns the body, decoded."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class RecordedConnection:
    """A connection that brought at least one request."""

    number: int
    opened_at: float
    closed_at: float | None
    requests: int


class StubProcess:
    """The stub as a child process, which ends with its parent.

    >>> with StubProcess() as stub:
    ...     stub.url, stub.requests()
    """

    def __init__(self, *options: str) -> None:
        self.options = options
        self.url = ""
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> Self:
        """Starts the process and waits until it listens; raises RuntimeError when it ends instead."""
        command = [sys.executable, str(SCRIPT), "--port", "0", "--until-stdin-closes", *self.options]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603 -- our own
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line.startswith("listening on "):
            self.stop()
            raise RuntimeError("the stub did not start: run benchmarks/stub_ollama.py by hand to see why")
        self.url = line.removeprefix("listening on ").strip()
        return self

    def stop(self) -> None:
        """Ends the process."""
        if self.process:
            self.process.terminate()
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe:
                    pipe.close()
            self.process.wait(timeout=10)
            self.process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process's id."""
        if not self.process:
            raise RuntimeError("the stub is not running: call start() first")
        return self.process.pid

    def requests(self, path: str | None = None) -> list[Recorded]:
        """Returns the requests that reached the stub, oldest first, of one path if given."""
        rows = self._control("GET", "requests")
        for row in rows:
            row["body"] = base64.b64decode(row["body"])
            row["headers"] = [(name, value) for name, value in row["headers"]]
        found = [Recorded(**row) for row in rows]
        return [request for request in found if path is None or request.target.partition("?")[0] == path]

    def cancelled(self) -> list[Recorded]:
        """Returns the requests whose connection was closed before their answer was whole."""
        return [request for request in self.requests() if request.ended == "cancelled"]

    def under_way(self) -> list[Recorded]:
        """Returns the requests whose answer has not ended."""
        return [request for request in self.requests() if not request.ended]

    def connections(self) -> list[RecordedConnection]:
        """Returns the connections that brought requests, oldest first."""
        return [RecordedConnection(**row) for row in self._control("GET", "connections")]

    def open_connections(self) -> int:
        """Returns how many of them are still open."""
        return sum(connection.closed_at is None for connection in self.connections())

    def calls(self) -> dict[str, int]:
        """Returns how often each route was called, such as {"POST /api/pull": 1}."""
        counts: dict[str, int] = self._control("GET", "calls")
        return counts

    def behave(self, path: str, knobs: str) -> None:
        """Turns knobs for all requests to a path, such as `behave("/api/version", "hang=1")`."""
        self._control("POST", "behave", {"path": path, "knobs": knobs})

    def load(self, model: str, window: int | None) -> None:
        """Loads a model, by its short name with its tag, with a context window; None unloads it."""
        self._control("POST", "load", {"model": model, "window": window})

    def loads(self) -> dict[str, int]:
        """Returns how often each model was loaded or reloaded since the last reset, by short name."""
        counts: dict[str, int] = self._control("GET", "loads")["loads"]
        return counts

    def windows(self) -> dict[str, int]:
        """Returns the context windows of the loaded models, by short name."""
        windows: dict[str, int] = self._control("GET", "loads")["windows"]
        return windows

    def reset(self) -> None:
        """Forgets all requests and behaviour."""
        self._control("POST", "reset")

    def wait_for(self, what: Callable[[StubProcess], Any], seconds: float = 5) -> Any:
        """Asks until the answer is true and returns it; raises TimeoutError with what was recorded."""
        deadline = time.monotonic() + seconds
        while not (answer := what(self)):
            if time.monotonic() > deadline:
                seen = [(r.method, r.target, r.chunks, r.ended) for r in self.requests()]
                raise TimeoutError(f"not within {seconds} s; the stub saw {seen}")
            time.sleep(POLL_SECONDS)
        return answer

    def _control(self, method: str, word: str, body: object = None) -> Any:
        address = urlsplit(self.url)
        connection = HTTPConnection(address.hostname or "", address.port, timeout=10)
        try:
            connection.request(method, f"/_stub/{word}", json.dumps(body) if body is not None else None)
            response = connection.getresponse()
            data = response.read()
        finally:
            connection.close()
        if response.status != 200:  # noqa: PLR2004 -- OK
            raise RuntimeError(data.decode())
        return json.loads(data)
