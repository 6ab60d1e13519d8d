"""Serves the engine in this process until it is told to stop."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn

from engine.llama import Llama
from engine.server import Application

PARTING = 1  # seconds that open streams get when the engine is told to stop


def serve(model: Path, listener: socket.socket, ready: Callable[[], None], *, tied: bool = False) -> None:
    """Loads the model, calls `ready`, and serves on the listening socket.

    Ends on SIGINT and SIGTERM; when `tied`, only when standard input ends, which it does however the parent dies.

    Raises EngineError when the model can't be loaded.
    """
    if tied:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        threading.Thread(target=end_with_parent, name="end-with-parent", daemon=True).start()
    application = Application(Llama(model), model)
    config = uvicorn.Config(
        application,
        lifespan="off",
        access_log=False,
        log_level="error",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=PARTING,
    )
    server = Tied(config) if tied else uvicorn.Server(config)
    ready()
    server.run(sockets=[listener])


class Tied(uvicorn.Server):
    """A server that leaves the signals as they are."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield


def end_with_parent() -> None:
    """Ends the process when standard input does; at once, since nobody is left to answer to."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(0)
