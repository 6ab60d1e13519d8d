"""The floor: the least that a relay in Python does, bytes in and bytes out, on the gateway's own server and client.

`python -m benchmarks.floor UPSTREAM` prints where it listens. It checks nothing and changes nothing.
"""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING, Any

import aiohttp
import uvicorn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

PREFIX = "/api/v1/"
KEEP_ALIVE = 75
HEADERS = {"Content-Type": "application/json"}


class Floor:
    """An ASGI application that relays POST /api/v1/… to the upstream's /api/…, and any other path to the same."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serves a request, or opens and closes the client."""
        if scope["type"] == "lifespan":
            await self.lifespan(receive, send)
        else:
            await self.relay(scope, receive, send)

    async def lifespan(self, receive: Receive, send: Send) -> None:
        """Opens the client when the server starts and closes it when it stops."""
        await receive()
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
            self.session = session
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def relay(self, scope: Message, receive: Receive, send: Send) -> None:
        """Forwards one request and its answer, each chunk when it comes."""
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        path = scope["path"]
        url = self.upstream + (f"/api/{path.removeprefix(PREFIX)}" if path.startswith(PREFIX) else path)
        async with self.session.post(url, data=body, headers=HEADERS) as answer:
            headers = [(b"content-type", answer.headers["Content-Type"].encode())]
            length = answer.headers.get("Content-Length")
            if length is not None:
                headers.append((b"content-length", length.encode()))
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            if length is not None:
                await send({"type": "http.response.body", "body": await answer.read()})
                return
            async for chunk in answer.content.iter_any():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


def main(upstream: str) -> None:
    """Serves with the gateway's settings on a free port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    sys.stdout.write(f"listening on http://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    config = uvicorn.Config(
        Floor(upstream),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        log_level="warning",
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(sys.argv[1])
