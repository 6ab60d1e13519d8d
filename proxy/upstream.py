"""The way to Ollama: an httpx transport over aiohttp, and the object that sends requests through it."""

from __future__ import annotations

import asyncio
import ssl
from functools import partial
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING

import aiohttp
import httpx
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDict
from yarl import URL

from proxy.exceptions import UpstreamBroke, UpstreamError, UpstreamTimeout, UpstreamUnreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from typing import Self

    from gateway.env import Env

# What a broken answer raises while it is read.
BROKEN = httpx.TransportError
# How long the end of an answer may lag behind its terminal mark, in seconds.
LINGER = 1.0
# Idle connections to Ollama are kept this long, in seconds.
KEEP_ALIVE = 60
# aiohttp would add these of its own accord.
SILENT_HEADERS = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")
NO_COOKIES: SimpleCookie = SimpleCookie()


NOT_TRUSTED = "No TLS connection to Ollama at {} came about: name its certificate's authority in OLLAMA_CA."


class Untrusted(httpx.ConnectError):
    """The other side did not prove with TLS who it is."""


class Body(httpx.AsyncByteStream):
    """A request body that is known whole, so that it travels with a Content-Length."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yields the body, for transports that know no better."""
        yield self.content


class Upload(httpx.AsyncByteStream):
    """A request body that comes bit by bit; of an unknown size (None) it travels in chunks."""

    def __init__(self, parts: AsyncIterator[bytes], size: int | None) -> None:
        self.parts = parts
        self.size = size

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Returns the parts."""
        return self.parts


Payload = bytes | Upload


class Wire(ResponseHandler):
    """A connection that tells the reader of an answer about garbage within it, which aiohttp (3.14) tells nobody."""

    reader: aiohttp.StreamReader | None = None

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Takes a failure of the connection or of its parser."""
        super().set_exception(exc, *cause)
        if self.reader is not None and not self.reader.is_eof() and self.reader.exception() is None:
            self.reader.set_exception(aiohttp.ClientPayloadError())


class Chunks(httpx.AsyncByteStream):
    """An answer's bytes as they come; closing it early closes the connection, which stops Ollama's work."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        if response.connection is not None and isinstance(response.connection.protocol, Wire):
            response.connection.protocol.reader = response.content

    def __aiter__(self) -> Self:
        """Returns itself: an answer is read once."""
        return self

    async def __anext__(self) -> bytes:
        """Waits for the next bytes, as many as are there; raises httpx.ReadError when Ollama breaks off."""
        try:
            chunk = await self.response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise httpx.ReadError(type(error).__name__) from error
        if chunk:
            return chunk
        raise StopAsyncIteration

    def complete(self) -> None:
        """Keeps the connection for the next call once its last bytes, which nobody needs, have come."""
        if not self.response.content.is_eof():
            asyncio.get_running_loop().call_later(LINGER, self.response.close)

    def close(self) -> None:
        """Closes the connection, unless the answer came to its end."""
        self.response.close()

    async def aclose(self) -> None:
        """Does the same, as httpx calls it."""
        self.response.close()


class Answer:
    """Ollama's answer: its status, and its bytes as they come."""

    __slots__ = ("chunks", "finished", "status", "stream")

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.stream = response.stream
        self.chunks: AsyncIterator[bytes] = aiter(self.stream)  # type: ignore[arg-type]  # the transport is asynchronous
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


class NoCookieJar(aiohttp.DummyCookieJar):
    """Keeps nothing: what Ollama sets for one client never reaches another."""

    def filter_cookies(self, request_url: URL) -> SimpleCookie:  # noqa: ARG002 -- aiohttp's signature
        """Returns no cookies."""
        return NO_COOKIES


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends httpx requests through aiohttp, whose parser is written in C and which loses no slot when cancelled.

    It does what is asked and no more: no redirects, cookies, decompression, limit on connections, and no retry of a
    POST.  Failures become httpx's: ConnectError and ConnectTimeout before a byte was sent, else ReadError and
    RemoteProtocolError.
    """

    def __init__(self, connect_timeout: float, tls: ssl.SSLContext | None = None) -> None:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE, ssl=tls or True)
        # There is no other way in than this.
        connector._factory = partial(Wire, loop=asyncio.get_running_loop())  # type: ignore[assignment]  # noqa: SLF001
        self.session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=NoCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout),
            skip_auto_headers=SILENT_HEADERS,
            auto_decompress=False,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends a request and returns when the answer's head is there."""
        target = request.extensions.get("target") or Target(request.method, request.url, request.headers)
        stream = request.stream
        try:
            response = await self.session.request(
                target.method,
                target.yarl,
                data=stream.content if isinstance(stream, Body) else stream,
                headers=target.fields,
                allow_redirects=False,
            )
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientProxyConnectionError) as error:
            raise httpx.ConnectTimeout(type(error).__name__) from error
        except (aiohttp.ClientSSLError, ssl.SSLError) as error:
            raise Untrusted(type(error).__name__) from error
        except aiohttp.ClientConnectorError as error:
            raise httpx.ConnectError(type(error).__name__) from error
        except aiohttp.ClientResponseError as error:
            raise httpx.RemoteProtocolError(type(error).__name__) from error
        except (aiohttp.ClientError, OSError) as error:
            raise httpx.ReadError(type(error).__name__) from error
        return httpx.Response(response.status, headers=response.raw_headers, stream=Chunks(response))

    async def aclose(self) -> None:
        """Closes all connections."""
        await self.session.close()


class Target:
    """A method and a URL of Ollama with the headers that go there, prepared once in both libraries' types."""

    def __init__(self, method: str, url: httpx.URL, headers: httpx.Headers) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.yarl = URL(str(url), encoded=True)
        self.fields = CIMultiDict(headers.multi_items())
        self.extensions = {"target": self}


class Upstream:
    """One Ollama."""

    def __init__(
        self, address: str, transport: httpx.AsyncBaseTransport, headers: Mapping[str, str], connect_timeout: float
    ) -> None:
        self.address = address
        self.transport = transport
        self.headers = dict(headers)
        self.connect_timeout = connect_timeout
        self.targets: dict[tuple[str, str], Target] = {}

    def target(self, method: str, path: str) -> Target:
        """Returns the prepared target of a route's upstream path."""
        target = self.targets.get((method, path))
        if target is None:
            headers = dict(self.headers)
            if method == "POST":
                headers["Content-Type"] = "application/json"
            target = Target(method, httpx.URL(self.address + path), httpx.Headers(headers))
            self.targets[method, path] = target
        return target

    async def send(self, method: str, path: str, body: Payload = b"") -> Answer:
        """Sends one request; returns when the answer's head is there.

        `path` is one of a fixed set, never made from a client's words.  Nothing is ever sent twice.  Raises
        UpstreamUnreachable, UpstreamTimeout or UpstreamBroke.
        """
        target = self.target(method, path)
        if isinstance(body, Upload):
            headers = httpx.Headers(target.headers)
            if body.size is not None:
                headers["Content-Length"] = str(body.size)
            request = httpx.Request(method, target.url, headers=headers, stream=body)
        else:
            request = httpx.Request(
                method, target.url, headers=target.headers, stream=Body(body), extensions=target.extensions
            )
        try:
            return Answer(await self.transport.handle_async_request(request))
        except Untrusted:
            raise UpstreamError(502, NOT_TRUSTED.format(self.address), kind="upstream_unreachable") from None
        except httpx.ConnectError:
            raise UpstreamUnreachable(self.address) from None
        except httpx.ConnectTimeout:
            raise UpstreamTimeout("UPSTREAM_CONNECT_TIMEOUT", self.connect_timeout) from None
        except httpx.TransportError:
            raise UpstreamBroke from None

    async def aclose(self) -> None:
        """Closes all connections."""
        await self.transport.aclose()


def connect(env: Env, address: str) -> Upstream:
    """Returns the upstream that the settings describe, on the running event loop."""
    tls = ssl.create_default_context(cafile=env.OLLAMA_CA) if env.OLLAMA_CA else None
    # An allow-list: nothing of a client's own headers ever leaves.
    headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "ollama-gateway"}
    if env.OLLAMA_API_KEY:
        headers["Authorization"] = f"Bearer {env.OLLAMA_API_KEY}"
    transport = AiohttpTransport(env.UPSTREAM_CONNECT_TIMEOUT, tls)
    return Upstream(address, transport, headers, env.UPSTREAM_CONNECT_TIMEOUT)
