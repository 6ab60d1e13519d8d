"""An httpx transport over aiohttp."""

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

from proxy.upstream.bodies import Body

if TYPE_CHECKING:
    from typing import Self

# How long the end of an answer may lag behind its terminal mark, in seconds.
LINGER = 1.0
# Idle connections to Ollama are kept this long, in seconds.
KEEP_ALIVE = 60
# aiohttp would add these of its own accord.
SILENT_HEADERS = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")
NO_COOKIES: SimpleCookie = SimpleCookie()


class Untrusted(httpx.ConnectError):
    """The other side did not prove with TLS who it is."""


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
