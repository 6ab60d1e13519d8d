"""A server as the bench sees it, and how one is started in a process of its own."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

BASE_DIR = Path(__file__).resolve().parent.parent
START_SECONDS = 60
STOP_SECONDS = 3  # streams that are open are no reason to wait
POLL_SECONDS = 0.02
KEPT_VARIABLES = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


class ServerFailed(Exception):
    """A server did not start; its text is what it wrote."""


class Server(Protocol):
    """A server under load: where it is, what its requests look like, and how to end it.

    `afterwork` is how long it may still work for requests that it has answered, in seconds.
    """

    name: str
    url: str
    headers: dict[str, str]
    afterwork: float

    @property
    def pid(self) -> int:
        """The process's id."""

    def path(self, endpoint: str) -> str | None:
        """Returns the path of an endpoint, None where it does not speak that dialect.

        `generate` is wherever it serves that one; `/api/chat` is the same everywhere.
        """

    def stop(self) -> None:
        """Ends it and removes what it left."""


class Started:
    """A server in a process of its own, with a folder of its own for its files."""

    name = ""
    afterwork = 0.0
    # The endpoints that it serves; None for all of them.
    speaks: frozenset[str] | None = None
    listening = re.compile(r"listening on (http://\S+)")

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.headers: dict[str, str] = {}
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self.process: subprocess.Popen[bytes] | None = None
        try:
            self.prepare()
            self.url = self._start()
        except BaseException:
            self.stop()
            raise

    @property
    def working_folder(self) -> Path:
        """The folder in which the process runs."""
        return BASE_DIR

    @property
    def pid(self) -> int:
        """The process's id."""
        if not self.process:
            raise ServerFailed(f"{self.name} is not running")
        return self.process.pid

    def path(self, endpoint: str) -> str | None:
        """Returns Ollama's own path; None where the server does not speak that dialect."""
        return own_path(endpoint) if self.speaks is None or endpoint in self.speaks else None

    def prepare(self) -> None:
        """Makes what the process needs before it starts."""

    def command(self) -> list[str]:
        """Returns the command that starts it."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Returns the environment, without any setting of whoever runs the bench."""
        return {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}

    def stop(self) -> None:
        """Ends the process and removes its folder."""
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> str:
        log = self.folder / "log"
        with log.open("wb") as out:
            self.process = subprocess.Popen(  # noqa: S603 -- a command of ours
                self.command(),
                cwd=self.working_folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_SECONDS
        while not (url := self._answers(log.read_text(errors="replace"))):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise ServerFailed(f"{self.name} did not start:\n{log.read_text(errors='replace')}")
            time.sleep(POLL_SECONDS)
        return url

    def _answers(self, said: str) -> str:
        """Returns the URL, once it is said and taken; else nothing."""
        found = self.listening.search(said)
        return found[1] if found and takes_connections(found[1]) else ""


class StartedOnPort(Started):
    """A server that is told its port; it is ready when it takes connections."""

    def prepare(self) -> None:
        """Chooses a port that is free now."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port: int = listener.getsockname()[1]

    @property
    def working_folder(self) -> Path:
        """The server's own folder: it may leave files where it runs."""
        return self.folder

    def _answers(self, said: str) -> str:  # noqa: ARG002 -- what it says differs with each of its versions
        """Returns the URL, once connections are taken; else nothing."""
        url = f"http://127.0.0.1:{self.port}"
        return url if takes_connections(url) else ""


def own_path(endpoint: str) -> str:
    """Returns Ollama's own path of an endpoint."""
    return endpoint if endpoint.startswith("/") else f"/api/{endpoint}"


def takes_connections(url: str) -> bool:
    """Tells whether something listens there."""
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname or "", address.port or 0), timeout=1).close()
    except OSError:
        return False
    return True
