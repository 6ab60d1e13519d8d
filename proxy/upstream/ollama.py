"""One Ollama: what it is asked, and what it answers."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import httpx

from proxy.exceptions import UNAVAILABLE, UpstreamBroke, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from proxy.upstream.bodies import JSON, Body, Payload, Upload
from proxy.upstream.connection import Unreadable
from proxy.upstream.pool import Untrusted
from proxy.upstream.transport import Chunks, Target, Transport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from gateway.env import Env

# What a broken answer raises while it is read.
BROKEN = httpx.TransportError
# More than the table has; paths with a digest are as many as anybody likes.
MAX_TARGETS = 64
CODED = "Ollama's answer is compressed or coded in a way that the gateway did not ask for: check the proxy before it."
NOT_TRUSTED = "No TLS connection to Ollama at {} came about: name its certificate's authority in OLLAMA_CA."


class Asked(httpx.Request):
    """A request of httpx's, made of what was prepared; making one from scratch costs more than sending it."""

    def __init__(self, target: Target, stream: Body | Upload) -> None:  # not super's: see above
        self.method = target.method
        self.url = target.url
        self.headers = target.headers
        self.extensions = target.extensions
        self.stream = stream


class Answer:
    """Ollama's answer: its status, and its bytes as they come."""

    __slots__ = ("finished", "read", "status", "stream")

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.stream = response.stream
        # Waits for bytes and returns all that are there, b"" at the end; raises BROKEN.  May be given a shortcut.
        self.read: Callable[..., Awaitable[bytes]] = (
            self.stream.exchange.read if isinstance(self.stream, Chunks) else reads(self.stream)
        )
        self.finished = False

    def complete(self) -> None:
        """Says that all that matters was read; the connection may serve another call."""
        self.finished = True
        if isinstance(self.stream, Chunks):
            self.stream.complete()

    def close(self) -> None:
        """Closes the connection, which stops Ollama's work, unless all that matters was read."""
        if not self.finished and isinstance(self.stream, Chunks):
            self.stream.close()


def reads(stream: httpx.SyncByteStream | httpx.AsyncByteStream) -> Callable[..., Awaitable[bytes]]:
    """Returns what reads the answer of any other transport."""
    chunks: AsyncIterator[bytes] = aiter(stream)  # type: ignore[arg-type]  # the transport is asynchronous
    return lambda _shortcut=None: anext(chunks, b"")


class Upstream:
    """One Ollama."""

    def __init__(
        self, address: str, transport: httpx.AsyncBaseTransport, headers: Mapping[str, str], connect_timeout: float
    ) -> None:
        self.address = address
        self.transport = transport
        self.headers = dict(headers)
        self.connect_timeout = connect_timeout
        self.targets: dict[tuple[str, str, str], Target] = {}

    @property
    def connections(self) -> tuple[int, int]:
        """How many connections are open, and how many of these no call uses."""
        if not isinstance(self.transport, Transport):
            return 0, 0
        pool = self.transport.pool
        return len(pool.every), len(pool.free) + len(pool.resting)

    def target(self, method: str, path: str, content_type: str = JSON) -> Target:
        """Returns the prepared target of a route's upstream path."""
        target = self.targets.get((method, path, content_type))
        if target is None:
            headers = dict(self.headers)
            if method == "POST":
                headers["Content-Type"] = content_type
            target = Target(method, httpx.URL(self.address + path), httpx.Headers(headers))
            if len(self.targets) < MAX_TARGETS:
                self.targets[method, path, content_type] = target
        return target

    async def send(self, method: str, path: str, body: Payload = b"") -> Answer:
        """Sends one request; returns when the answer's head is there.

        `path` is one of the table's; of a client's words only a digest is ever part of it.  Nothing is ever sent twice.
        Raises UpstreamUnreachable, UpstreamTimeout or UpstreamBroke.
        """
        stream = body if isinstance(body, Upload) else Body(body)
        target = self.target(method, path, body.content_type) if isinstance(body, Upload) else self.target(method, path)
        try:
            return Answer(await self.transport.handle_async_request(Asked(target, stream)))
        except Untrusted:
            message = NOT_TRUSTED.format(self.address)
            raise UpstreamError(502, message, kind="upstream_unreachable", public=UNAVAILABLE) from None
        except httpx.ConnectError:
            raise UpstreamUnreachable(self.address) from None
        except httpx.ConnectTimeout:
            raise UpstreamTimeout("UPSTREAM_CONNECT_TIMEOUT", self.connect_timeout) from None
        except Unreadable:
            raise UpstreamError(502, CODED, kind="upstream_failed", public=UNAVAILABLE) from None
        except httpx.TransportError:
            raise UpstreamBroke from None

    async def small(self, path: str, most: int, method: str = "GET", body: bytes = b"") -> tuple[int, bytes]:
        """Asks for something small; returns its status and its body.

        Raises UpstreamError, httpx.TransportError, and ValueError for more than `most` bytes.
        """
        answer = await self.send(method, path, body)
        content = bytearray()
        try:
            while chunk := await answer.read():
                content += chunk
                if len(content) > most:
                    raise ValueError("too long")
            answer.complete()
        finally:
            answer.close()
        return answer.status, bytes(content)

    async def aclose(self) -> None:
        """Closes all connections."""
        await self.transport.aclose()


def connect(env: Env, address: str) -> Upstream:
    """Returns the upstream that the settings describe, on the running event loop."""
    url = httpx.URL(address)
    tls = ssl.create_default_context(cafile=env.OLLAMA_CA) if url.scheme == "https" else None
    # An allow-list: nothing of a client's own headers ever leaves.
    headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "ollama-gateway"}
    if env.OLLAMA_API_KEY:
        headers["Authorization"] = f"Bearer {env.OLLAMA_API_KEY}"
    keep_alive = env.UPSTREAM_KEEPALIVE == "on"
    if not keep_alive:
        headers["Connection"] = "close"
    transport = Transport(url, tls, env.UPSTREAM_CONNECT_TIMEOUT, keep_alive=keep_alive)
    return Upstream(address, transport, headers, env.UPSTREAM_CONNECT_TIMEOUT)
