"""A Redis (or Valkey) of the tests' own: in a temporary folder, to be killed, held up and started again."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from pathlib import Path
from tempfile import mkdtemp
from typing import Self

from gateway.addresses import listening
from tests.harness import wait_until


def binary() -> str | None:
    """Returns the path of the server's program, None where it is not installed."""
    return shutil.which("valkey-server") or shutil.which("redis-server")


class RedisServer:
    """A server that keeps on disk what `options` say, else nothing; `url(number)` names one of its databases."""

    def __init__(self, *options: str) -> None:
        program = binary()
        assert program is not None, "Redis is not installed"
        self.program = program
        self.options = options
        self.folder = Path(mkdtemp(prefix="gateway-redis-"))
        self.port = listening("127.0.0.1", 0).port
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Starts it and waits until it answers."""
        settings = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--databases", "64"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.program, *settings, "--save", "", "--appendonly", "no", *self.options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(
            lambda: any(word in self.say("PING") for word in (b"PONG", b"NOAUTH")), 20, (self.folder / "log").read_text
        )
        return self

    def stop(self, number: int = signal.SIGKILL) -> None:
        """Ends it: as a crash would, or in order."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait()
            self.process = None

    def pause(self) -> None:
        """Makes it answer nobody, though it accepts connections."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Lets it answer again."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def say(self, *command: str, database: int = 0) -> bytes:
        """Sends one command and returns the raw answer, "" when nobody is there."""
        lines = [f"SELECT {database}", " ".join(command), "QUIT", ""]
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall("\r\n".join(lines).encode())
                answer = b""
                while part := connection.recv(65536):
                    answer += part
        except OSError:
            return b""
        return answer

    def url(self, database: int = 0) -> str:
        """Returns the REDIS_URL of one of its databases."""
        return f"redis://127.0.0.1:{self.port}/{database}"

    def remove(self) -> None:
        """Ends it and removes its files."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
