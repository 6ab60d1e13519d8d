"""The connections to one Ollama: made when none is free, kept for a while when it is."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import ssl
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

import aiohappyeyeballs
import httpx

from proxy.upstream.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from aiohappyeyeballs import AddrInfoType

# Idle connections are kept this long, and what a name resolved to is known for so long, in seconds.
KEEP_ALIVE = 60.0
NAME_SECONDS = 10.0
# Connections on which nothing has come for so long, in seconds, are used before others: an unasked answer
# mostly comes right behind the one that was asked for.
REST = 0.005
# After such an answer each connection to that server is used once, for so long, in seconds.
SINGLE_USE = 600.0
# How long the second address of a name waits for the first (RFC 8305), in seconds.
HEAD_START = 0.25


log = logging.getLogger("gateway")


class Untrusted(httpx.ConnectError):
    """The other side did not prove with TLS who it is."""


class Pool:
    """Connections to a host and port, over TLS where there is a context for it; as many as are asked for.

    With `keep_alive` they are kept for further requests: of those that have rested, the one used last comes first.
    """

    def __init__(
        self, host: str, port: int, tls: ssl.SSLContext | None, connect_timeout: float, *, keep_alive: bool = True
    ) -> None:
        self.host = host
        self.port = port
        self.tls = tls
        self.connect_timeout = connect_timeout
        self.loop = asyncio.get_running_loop()
        self.keep_alive = keep_alive
        self.single_use_until = float("-inf")
        # Both in the order of `idle_since`, the latest last.
        self.resting: deque[Connection] = deque()
        self.free: deque[Connection] = deque()
        self.every: set[Connection] = set()
        self.addresses: Sequence[AddrInfoType] = ()
        self.resolved_at = float("-inf")
        self.sweeper: asyncio.TimerHandle | None = None

    async def take(self) -> Connection:
        """Returns a free connection, or a new one; raises httpx.ConnectError and httpx.ConnectTimeout."""
        self.end_rest()
        while self.free or self.resting:
            connection = self.free.pop() if self.free else self.resting.popleft()
            if connection.is_quiet():
                return connection
            connection.retire()
        try:
            async with asyncio.timeout(self.connect_timeout):
                return await self.connect()
        except TimeoutError as error:
            raise httpx.ConnectTimeout(type(error).__name__) from error
        except ssl.SSLError as error:
            raise Untrusted(type(error).__name__) from error
        except (OSError, UnicodeError) as error:  # the latter for a name that can be none
            raise httpx.ConnectError(type(error).__name__) from error

    async def connect(self) -> Connection:
        """Makes a connection to whichever address of the host answers first."""
        peer = await aiohappyeyeballs.start_connection(await self.resolved(), happy_eyeballs_delay=HEAD_START)
        try:
            # uvloop does it for its own sockets only.
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _transport, connection = await self.loop.create_connection(
                lambda: Connection(self.take_back, self.forget, self.distrust),
                sock=peer,
                ssl=self.tls,
                server_hostname=self.host if self.tls else None,
            )
        except BaseException:
            peer.close()
            raise
        self.every.add(connection)
        return connection

    async def resolved(self) -> Sequence[AddrInfoType]:
        """Returns the host's addresses; one that is an address already is asked of nobody."""
        if self.loop.time() - self.resolved_at > NAME_SECONDS:
            self.addresses = literal(self.host, self.port) or await self.loop.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
            )
            self.resolved_at = self.loop.time()
        return self.addresses

    def take_back(self, connection: Connection) -> None:
        """Keeps a connection that is free again, unless each is used once."""
        now = connection.idle_since = self.loop.time()
        if not self.keep_alive or now < self.single_use_until:
            connection.transport.close()
            return
        self.resting.append(connection)
        if self.sweeper is None:
            self.sweeper = self.loop.call_later(KEEP_ALIVE, self.sweep)

    def forget(self, connection: Connection) -> None:
        """Forgets a connection that is closed."""
        self.every.discard(connection)
        for kept in (self.free, self.resting):
            with suppress(ValueError):
                kept.remove(connection)

    def end_rest(self) -> None:
        """Frees the connections on which nothing has come for long enough."""
        rested = self.loop.time() - REST
        while self.resting and self.resting[0].idle_since <= rested:
            self.free.append(self.resting.popleft())

    def distrust(self) -> None:
        """Uses each connection once from now on, for a while: the server sent what no request asked for.

        Whose answer such bytes are can't be told once they come behind another request.
        """
        now = self.loop.time()
        if now >= self.single_use_until:
            log.warning(
                "The server at %s:%d sent an answer without a request; such an answer may have reached another caller. "
                "For the next %d minutes, connections to it are used for one request each. If this happens again, find "
                "the proxy that does it or set UPSTREAM_KEEPALIVE=off.",
                self.host,
                self.port,
                SINGLE_USE // 60,
            )
        self.single_use_until = now + SINGLE_USE
        for connection in (*self.free, *self.resting):
            connection.transport.close()
        self.free.clear()
        self.resting.clear()

    def sweep(self) -> None:
        """Closes what was idle for too long."""
        self.sweeper = None
        self.end_rest()
        oldest = self.loop.time() - KEEP_ALIVE
        while self.free and self.free[0].idle_since <= oldest:
            self.free.popleft().transport.close()
        if kept := self.free or self.resting:
            self.sweeper = self.loop.call_at(kept[0].idle_since + KEEP_ALIVE, self.sweep)

    async def aclose(self) -> None:
        """Closes all connections."""
        if self.sweeper is not None:
            self.sweeper.cancel()
        for connection in list(self.every):
            connection.abort()
        await asyncio.sleep(0)  # for them to hear of it


def literal(host: str, port: int) -> Sequence[AddrInfoType]:
    """Returns an address that is written as one, nothing for a name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ()
    is_old = isinstance(address, ipaddress.IPv4Address)
    where: tuple[Any, ...] = (host, port) if is_old else (host, port, 0, 0)
    return [(socket.AF_INET if is_old else socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", where)]
