"""An httpx transport for one Ollama, over connections of our own.

A gateway asks the same few things of the same host for ever: heads are prepared once, and a body's bytes go from the
parser (llhttp) to whoever relays them with nothing in between.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx

from proxy.upstream.bodies import Body, Upload
from proxy.upstream.pool import Pool

if TYPE_CHECKING:
    import ssl
    from typing import Self

    from proxy.upstream.exchange import Exchange

# How long the end of an answer may lag behind its terminal mark, in seconds.
LINGER = 1.0


class Chunks(httpx.AsyncByteStream):
    """An answer's bytes as they come; closing it early closes the connection, which stops Ollama's work."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    def __aiter__(self) -> Self:
        """Returns itself: an answer is read once."""
        return self

    async def __anext__(self) -> bytes:
        """Waits for the next bytes, as many as are there; raises httpx.TransportError when Ollama breaks off."""
        chunk = await self.exchange.read()
        if chunk:
            return chunk
        raise StopAsyncIteration

    def complete(self) -> None:
        """Keeps the connection for the next call once its last bytes, which nobody needs, have come."""
        if not self.exchange.over:
            self.exchange.want_no_more()
            asyncio.get_running_loop().call_later(LINGER, self.exchange.close)

    def close(self) -> None:
        """Closes the connection, unless the answer came to its end."""
        self.exchange.close()

    async def aclose(self) -> None:
        """Does the same, as httpx calls it."""
        self.exchange.close()


class Reply(httpx.Response):
    """A response of httpx's that has a status and a stream; nobody asks for more, which takes its time to make."""

    def __init__(self, status: int, stream: Chunks) -> None:  # not super's: see above
        self.status_code = status
        self.stream = stream
        self.extensions = {}


class Transport(httpx.AsyncBaseTransport):
    """Sends httpx requests to one origin, that of `url`.

    It does what is asked and no more: no redirects, cookies, decompression, limit on connections, and nothing is ever
    sent twice.  Failures are httpx's: ConnectError and ConnectTimeout before a byte was sent, else ReadError and
    RemoteProtocolError.
    """

    def __init__(
        self, url: httpx.URL, tls: ssl.SSLContext | None, connect_timeout: float, *, keep_alive: bool = True
    ) -> None:
        port = url.port or (443 if tls else 80)
        host = url.raw_host.decode("ascii").strip("[]")
        self.pool = Pool(host, port, tls, connect_timeout, keep_alive=keep_alive)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends a request and returns when the answer's head is there."""
        target: Target = request.extensions.get("target") or Target(request.method, request.url, request.headers)
        stream = request.stream
        # Nothing is done between taking a connection, which looks for unasked bytes on it, and writing to it.
        if isinstance(stream, Upload):
            head = target.head_of(stream.size)
            exchange = (await self.pool.take()).send_parts(head, stream)
        else:
            content = stream.content if isinstance(stream, Body) else await request.aread()
            head, has_body = target.head_of(len(content)), target.method != "HEAD"
            exchange = (await self.pool.take()).send(head, content, has_body=has_body)
        try:
            status = await exchange.head()
        except BaseException:
            exchange.close()
            raise
        return Reply(status, Chunks(exchange))

    async def aclose(self) -> None:
        """Closes all connections."""
        await self.pool.aclose()


class Target:
    """A method and a URL of Ollama with the headers that go there, as httpx has them and as they travel."""

    def __init__(self, method: str, url: httpx.URL, headers: httpx.Headers) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.extensions = {"target": self}
        fields = b"".join(b"%b: %b\r\n" % field for field in headers.raw if field[0].lower() != b"host")
        self.head = b"%b %b HTTP/1.1\r\nHost: %b\r\n%b" % (method.encode(), url.raw_path, url.netloc, fields)

    def head_of(self, size: int | None) -> bytes:
        """Returns the head of a request with a body of so many bytes, None for one in chunks."""
        if size is None:
            return self.head + b"Transfer-Encoding: chunked\r\n\r\n"
        if not size and self.method in ("GET", "HEAD"):
            return self.head + b"\r\n"
        return b"%bContent-Length: %d\r\n\r\n" % (self.head, size)
