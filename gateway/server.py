"""uvicorn, with an orderly end: open streams get their grace, then an error event, and the exit code is 0."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import uvicorn
from django.conf import settings
from uvicorn.supervisors import ChangeReload

from gateway.env import BASE_DIR
from gateway.protocol import CappedProtocol

if TYPE_CHECKING:
    import socket

# What is left after the grace gets this long to say its last words, in seconds.
LAST_WORDS = 3
KEEP_ALIVE = 75


class GatewayServer(uvicorn.Server):
    """A server that cuts its calls after the grace instead of dropping their connections."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops listening, lets calls end for SHUTDOWN_GRACE seconds, then cuts the rest."""
        from proxy.exceptions import ShuttingDown
        from proxy.live import live

        loop = asyncio.get_running_loop()
        timer = loop.call_later(settings.ENV.SHUTDOWN_GRACE, lambda: live.cut_all(ShuttingDown()))
        try:
            await super().shutdown(sockets)
        finally:
            timer.cancel()


def run(*, host: str, port: int, reload: bool) -> None:
    """Serves until SIGINT or SIGTERM; returns normally after an orderly end."""
    env = settings.ENV
    config = uvicorn.Config(
        "gateway.asgi:application",
        host=host,
        port=port,
        http=CappedProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        log_level="warning",
        log_config=None,
        proxy_headers=bool(env.TRUSTED_PROXIES),
        forwarded_allow_ips=env.TRUSTED_PROXIES,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=int(env.SHUTDOWN_GRACE) + LAST_WORDS,
        reload=reload,
        reload_dirs=[str(BASE_DIR)] if reload else None,
    )
    # uvicorn raises the signal that stopped it once more after its orderly end; that must not kill the process.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    server = GatewayServer(config)
    if reload:
        ChangeReload(config, target=server.run, sockets=[config.bind_socket()]).run()
    else:
        server.run()
