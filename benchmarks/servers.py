"""What is measured against what: each server is a row, and a rival is one more row."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks.rivals.litellm import LiteLLM, LiteLLMByOpenAI
from benchmarks.rivals.nginx import Nginx
from benchmarks.rivals.ollaguard import Ollaguard
from benchmarks.rivals.portkey import Portkey
from benchmarks.started import BASE_DIR, ServerFailed, Started, own_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.started import Server

# Every limit is counted and none is reached.
OUT_OF_REACH = {
    "DEFAULT_REQUESTS_PER_MINUTE": "1000000000",
    "DEFAULT_TOKENS_PER_MINUTE": "1000000000000",
    "DEFAULT_CONCURRENCY": "100000",
    "DEFAULT_TOKENS_PER_DAY": "1000000000000",
    "DEFAULT_TOKENS_PER_MONTH": "1000000000000",
    "MAX_IN_FLIGHT": "100000",
    "MAX_CONNECTIONS": "100000",
}


class Bare:
    """The stub itself, without anything between: what load and stub can do at most."""

    name = "stub alone"
    afterwork = 0.0

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self.pid = pid
        self.headers: dict[str, str] = {}

    def path(self, endpoint: str) -> str:
        """Returns Ollama's own path."""
        return own_path(endpoint)

    def stop(self) -> None:
        """Does nothing: the stub ends with the run."""


class Ours(Started):
    """A server with the gateway's paths."""

    def path(self, endpoint: str) -> str:
        """Returns the path of an endpoint."""
        return endpoint if endpoint.startswith("/") else f"/api/v1/{endpoint}"


class Floor(Ours):
    """The least that a relay in Python costs."""

    name = "floor"

    def command(self) -> list[str]:
        """Returns the command of the floor."""
        return [sys.executable, "-m", "benchmarks.floor", self.upstream]


class Gateway(Ours):
    """The gateway as it is served in production, on a database of its own, with a key and all of its limits."""

    name = "gateway"
    afterwork = 0.6  # it brings its account into the database twice a second
    listening = re.compile(r'^(?: +|.*"message":")API +(http://[^\s"]+)(?:"}|)$', re.MULTILINE)

    def prepare(self) -> None:
        """Makes the database and a key."""
        self.run(sys.executable, "manage.py", "migrate", "--verbosity", "0")
        key = self.run(sys.executable, "manage.py", "createapikey", "bench", "--quiet")
        self.headers = {"X-API-Key": key.strip()}

    def run(self, *command: str) -> str:
        """Runs a command of ours on the gateway's settings and returns what it said; raises ServerFailed."""
        done = subprocess.run(  # noqa: S603 -- a command of ours
            command,
            cwd=BASE_DIR,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ServerFailed(f"{' '.join(command[1:3])} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

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
            "SHUTDOWN_GRACE": "1",
            "JOURNAL_DIR": str(self.folder / "journal"),
            "PYTHONUNBUFFERED": "1",
            **OUT_OF_REACH,
        }


OURS: dict[str, Callable[[str], Server]] = {"floor": Floor, "gateway": Gateway}
RIVALS: dict[str, Callable[[str], Server]] = {
    "nginx": Nginx,
    "ollaguard": Ollaguard,
    "Portkey": Portkey,
    "LiteLLM": LiteLLM,
    "LiteLLM openai/": LiteLLMByOpenAI,
}
SERVERS = OURS | RIVALS
