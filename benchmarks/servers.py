"""What is measured against what: each server is a row, and a rival is one more row."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

BASE_DIR = Path(__file__).resolve().parent.parent
START_SECONDS = 60
STOP_SECONDS = 30
POLL_SECONDS = 0.02
KEPT_VARIABLES = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


class ServerFailed(Exception):
    """A server did not start; its text is what it wrote."""


class Server(Protocol):
    """A server under load: where it is, what its requests look like, and how to end it."""

    name: str
    url: str
    headers: dict[str, str]

    @property
    def pid(self) -> int:
        """The process's id."""

    def path(self, endpoint: str) -> str:
        """Returns the path of an endpoint: `generate` is where it serves that one, `/api/chat` the same everywhere."""

    def stop(self) -> None:
        """Ends it and removes what it left."""


class Bare:
    """The stub itself, without anything between: what load and stub can do at most."""

    name = "stub alone"

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self.pid = pid
        self.headers: dict[str, str] = {}

    def path(self, endpoint: str) -> str:
        """Returns Ollama's own path."""
        return endpoint if endpoint.startswith("/") else f"/api/{endpoint}"

    def stop(self) -> None:
        """Does nothing: the stub ends with the run."""


class Started:
    """A server in a process of its own, with a folder of its own for its files."""

    name = ""
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
    def pid(self) -> int:
        """The process's id."""
        if not self.process:
            raise ServerFailed(f"{self.name} is not running")
        return self.process.pid

    def path(self, endpoint: str) -> str:
        """Returns the path of an endpoint."""
        return endpoint if endpoint.startswith("/") else f"/api/v1/{endpoint}"

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
                cwd=BASE_DIR,
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
        if not found:
            return ""
        address = urlsplit(found[1])
        try:
            socket.create_connection((address.hostname or "", address.port or 0), timeout=1).close()
        except OSError:
            return ""
        return found[1]


class Floor(Started):
    """The least that a relay in Python costs."""

    name = "floor"

    def command(self) -> list[str]:
        """Returns the command of the floor."""
        return [sys.executable, "-m", "benchmarks.floor", self.upstream]


class Gateway(Started):
    """The gateway as it is served in production, on a database of its own, with a key."""

    name = "gateway"
    listening = re.compile(r"^ +API +(http://\S+)$", re.MULTILINE)

    def prepare(self) -> None:
        """Makes the database and a key."""
        for arguments in (("migrate", "--verbosity", "0"), ("createapikey", "bench", "--quiet")):
            done = subprocess.run(  # noqa: S603 -- a command of ours
                [sys.executable, "manage.py", *arguments],
                cwd=BASE_DIR,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise ServerFailed(f"manage.py {arguments[0]} failed:\n{done.stdout}{done.stderr}")
        self.headers = {"X-API-Key": done.stdout.strip()}

    def command(self) -> list[str]:
        """Returns the command of the gateway."""
        return [sys.executable, "manage.py", "serve"]

    def environment(self) -> dict[str, str]:
        """Returns settings that touch nothing outside the folder."""
        return super().environment() | {
            "GATEWAY_ENV_FILE": str(self.folder / ".env"),
            "APP_ENV": "production",
            "TLS": "off",
            "HOST": "127.0.0.1",
            "PORT": "0",
            "DATABASE_URL": f"sqlite:///{self.folder / 'db.sqlite3'}",
            "OLLAMA_URL": self.upstream,
            "ENGINE": "off",
            "PYTHONUNBUFFERED": "1",
        }


SERVERS: dict[str, Callable[[str], Server]] = {"floor": Floor, "gateway": Gateway}
