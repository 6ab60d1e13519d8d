"""uvicorn, with an orderly end: open streams get their grace, then an error event, and the exit code is 0."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from typing import TYPE_CHECKING

import uvicorn
from django.conf import settings
from uvicorn.supervisors import ChangeReload

from gateway import openfiles
from gateway.env import BASE_DIR
from gateway.protocol import CappedProtocol
from usage.metrics import metrics

if TYPE_CHECKING:
    import socket
    from types import FrameType

log = logging.getLogger("gateway")

# What is left after the grace gets this long to say its last words, in seconds.
LAST_WORDS = 3
KEEP_ALIVE = 75
# The loop gets the interpreter back from the threads beside it (keys, account) after this long, in seconds; Python's
# own 5 ms would be felt by every call that meets them at work.
SWITCH_INTERVAL = 0.0005


class GatewayServer(uvicorn.Server):
    """A server that cuts its calls after the grace instead of dropping their connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.signals = 0
        self.stopping: asyncio.AbstractEventLoop | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins the orderly end; a second signal ends the grace, and a third SIGINT everything."""
        self.signals += 1
        if self.signals == 2 and self.stopping is not None:  # noqa: PLR2004 -- the second
            self.stopping.call_soon_threadsafe(cut_all)
        else:
            super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to listen, and lets the metrics say how many clients are connected."""
        metrics.gauge("client_connections", "Open connections of clients", lambda: len(self.server_state.connections))
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops listening, lets calls end for SHUTDOWN_GRACE seconds, then cuts the rest."""
        from proxy.live import live

        if live.calls:
            count, grace = len(live.calls), settings.ENV.SHUTDOWN_GRACE
            calls = "1 open call gets" if count == 1 else f"{count} open calls get"
            log.warning("Stopping: %s up to %g s; stop again to end them now.", calls, grace)
        self.stopping = asyncio.get_running_loop()
        timer = self.stopping.call_later(settings.ENV.SHUTDOWN_GRACE, cut_all)
        try:
            await super().shutdown(sockets)
        finally:
            timer.cancel()


def cut_all() -> None:
    """Cuts every running call."""
    from proxy.exceptions import ShuttingDown
    from proxy.live import live

    live.cut_all(ShuttingDown())


def run(*, host: str, port: int, reload: bool) -> None:
    """Serves until SIGINT or SIGTERM; returns normally after an orderly end."""
    env = settings.ENV
    openfiles.raise_limit()
    sys.setswitchinterval(SWITCH_INTERVAL)
    config = uvicorn.Config(
        "gateway.asgi:application",
        host=host,
        port=port,
        http=CappedProtocol,
        backlog=openfiles.backlog(),
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        log_level="error",  # a warning for each malformed request would let strangers fill the log
        log_config=None,
        proxy_headers=False,  # the application reads them itself (gateway/proxies.py)
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=int(env.SHUTDOWN_GRACE) + LAST_WORDS,
        reload=reload,
        reload_dirs=[str(BASE_DIR)] if reload else None,
    )
    server = GatewayServer(config)

    def stop(*_: object) -> None:
        server.should_exit = True

    # A signal that comes before uvicorn listens for them must not be lost; and uvicorn raises the one that stopped it
    # once more after its orderly end, which must not kill the process.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    if reload:
        ChangeReload(config, target=server.run, sockets=[config.bind_socket()]).run()
    else:
        server.run()
    # While it shuts down, the interpreter puts back what kills for every handler of its own.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
