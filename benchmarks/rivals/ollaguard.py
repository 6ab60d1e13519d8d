"""ollaguard, an Ollama proxy with keys on FastAPI and httpx, as its package installs it."""

from __future__ import annotations

from benchmarks.rivals import environments
from benchmarks.started import StartedOnPort

KEY = "sk-bench"


class Ollaguard(StartedOnPort):
    """The command with a master key; it has no other settings that concern speed."""

    name = "ollaguard"
    version = "1.2.0"

    def prepare(self) -> None:
        """Installs it."""
        super().prepare()
        self.headers = {"Authorization": f"Bearer {KEY}"}
        self.commands = environments.python("rival-ollaguard")

    def command(self) -> list[str]:
        """Returns the command of the proxy."""
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--target-url", self.upstream]
        return [str(self.commands / "ollaguard"), *where, "--master-key", KEY]
