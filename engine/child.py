"""The engine as a child process: started, watched, restarted when it dies, ended with its parent."""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from engine.errors import EngineError
from engine.fetch import fetch

log = logging.getLogger("engine")

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
START_TIMEOUT = 60.0  # seconds to load the model on a slow, busy machine
END_TIMEOUT = 3.0  # seconds before a child that should end is killed
HEALTHY = 10.0  # seconds after which a death is a new misfortune, not the last one again
PAUSES = (0.0, 1.0, 2.0, 5.0, 15.0, 30.0)  # seconds before each restart in a row
ATTEMPTS = 4  # starts in a row that may fail before the engine is given up
# The child runs native code and needs none of the gateway's secrets.
ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


class EngineProcess:
    """The demo engine on a loopback port of its own, until `stop`.

    with EngineProcess(cache) as engine:
        httpx.get(f"{engine.url}/api/tags")
    """

    def __init__(self, cache: Path, port: int | None = None, say: Callable[[str], object] = lambda _: None) -> None:
        self.cache = cache
        self.say = say
        self.port = port or 0
        self._listener: socket.socket | None = None
        self._model: Path | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """The engine's address, the same across restarts."""
        return f"http://{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The present child's process id."""
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Fetches what is missing, starts the child and returns when the model answers.

        Raises EngineError with one line for people.
        """
        self._model = fetch(self.cache)
        self.say("Loading the demo model …")
        try:
            # The parent keeps the socket, so that no one else can take the port and callers wait out a restart.
            self._listener = socket.create_server((HOST, self.port), backlog=128)
        except OSError as error:
            raise EngineError(
                f"The demo engine can't listen on port {self.port} ({error.strerror}): choose another one"
            ) from None
        self.port = self._listener.getsockname()[1]
        try:
            self._launch()
        except BaseException:
            self.stop()
            raise
        self._watcher = threading.Thread(target=self._watch, name="engine-watcher", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """Ends the child and frees the port; does nothing the second time."""
        self._stopping.set()
        with self._lock:
            if self._child is not None:
                end(self._child)
            if self._listener is not None:
                self._listener.close()
                self._listener = None
        if self._watcher is not None and self._watcher is not threading.current_thread():
            self._watcher.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _launch(self) -> None:
        """Starts a child and waits until it is ready.

        Raises EngineError when it is not.
        """
        with self._lock:
            if self._stopping.is_set() or self._listener is None:
                raise EngineError("The demo engine was stopped while it started")
            descriptor = self._listener.fileno()
            child = self._child = subprocess.Popen(  # noqa: S603 -- our own interpreter with our own arguments
                [sys.executable, "-m", "engine", f"--model={self._model}", f"--listener={descriptor}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[descriptor],
                cwd=ROOT,
                env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
                start_new_session=True,  # Ctrl-C is for the gateway; it ends the engine after its streams
            )
        try:
            await_ready(child)
        except EngineError:
            end(child)
            raise

    def _watch(self) -> None:
        """Restarts the child whenever it dies, after a pause that grows when it keeps dying."""
        deaths = failures = 0
        while not self._stopping.is_set():
            started = time.monotonic()
            assert self._child is not None  # noqa: S101 -- start() launched one
            code = self._child.wait()
            if self._stopping.is_set():
                return
            end(self._child)
            deaths = 0 if time.monotonic() - started > HEALTHY else deaths
            say(f"The demo engine ended unexpectedly ({cause(code)}) and is started again")
            while not self._stopping.wait(PAUSES[min(deaths, len(PAUSES) - 1)]):
                deaths += 1
                try:
                    self._launch()
                except EngineError as error:
                    failures += 1
                    if failures == ATTEMPTS and not self._stopping.is_set():
                        say(f"{error}. Given up after {failures} attempts: restart the gateway")
                        self.stop()
                else:
                    failures = 0
                    break


def await_ready(child: subprocess.Popen[bytes]) -> None:
    """Waits for the child's line.

    Raises EngineError with the child's own reason, or with the way it died.
    """
    assert child.stdout is not None  # noqa: S101 -- a pipe
    readable, _, _ = select.select([child.stdout], [], [], START_TIMEOUT)
    if not readable:
        raise EngineError(f"The demo engine didn't start within {START_TIMEOUT:.0f} s: set OLLAMA_URL to an Ollama")
    try:
        line = child.stdout.readline()
    except ValueError:  # closed by stop(), which has ended the child before
        line = b""
    if not line:
        code = child.wait()
        raise EngineError(f"The demo engine died at its start ({cause(code)}): set OLLAMA_URL to an Ollama of yours")
    message = json.loads(line)
    if "error" in message:
        raise EngineError(message["error"])


def end(child: subprocess.Popen[bytes]) -> None:
    """Ends a child by closing its standard input, by force when that is not enough, and its pipes."""
    assert child.stdin is not None  # noqa: S101 -- pipes, both
    assert child.stdout is not None  # noqa: S101
    child.stdin.close()
    try:
        child.wait(END_TIMEOUT)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    child.stdout.close()


def cause(code: int) -> str:
    """Says how a process ended."""
    if code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"


def say(text: str) -> None:
    """Writes a line into the log."""
    log.warning(text)
