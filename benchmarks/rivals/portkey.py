"""Portkey's gateway on Node; the open one has no keys of its own, so it checks none."""

from __future__ import annotations

from pathlib import Path

from benchmarks.rivals import environments
from benchmarks.started import StartedOnPort

PACKAGE = Path(__file__).with_name("portkey")


class Portkey(StartedOnPort):
    """The gateway in production mode without its console; each request says which provider to call, and where."""

    name = "Portkey"
    speaks = frozenset({"/v1/chat/completions"})
    version = "1.15.2"

    def prepare(self) -> None:
        """Installs it."""
        super().prepare()
        self.modules = environments.node("rival-portkey", PACKAGE)
        self.headers = {
            "Authorization": "Bearer none",
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"{self.upstream}/v1",
        }

    def command(self) -> list[str]:
        """Returns the command of the gateway."""
        script = self.modules / "@portkey-ai" / "gateway" / "build" / "start-server.js"
        return ["node", str(script), f"--port={self.port}", "--headless"]

    def environment(self) -> dict[str, str]:
        """Returns the environment of production."""
        return super().environment() | {"NODE_ENV": "production"}
