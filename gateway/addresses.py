"""Where the gateway listens: checked before anything else starts, and as people write it."""

from __future__ import annotations

import errno
import socket
from typing import NamedTuple

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- compared with, never bound


class CannotListen(Exception):
    """The address can't be listened on; the text says why and what to do."""


class Listening(NamedTuple):
    """An address and a port to listen on."""

    host: str
    port: int

    @property
    def host_header(self) -> str:
        """Returns the host as a client on this machine writes it into a URL."""
        host = EVERYWHERE.get(self.host, self.host)
        return f"[{host}]" if ":" in host else host

    @property
    def url(self) -> str:
        """Returns the base URL for a client on this machine."""
        return f"http://{self.host_header}:{self.port}"


def listening(host: str, port: int) -> Listening:
    """Tries to listen there, and returns the address with a free port in place of 0; raises CannotListen."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return Listening(host, probe.getsockname()[1])
    except OSError as error:
        raise CannotListen(why(error, host, port)) from None


def why(error: OSError, host: str, port: int) -> str:
    """Says in one line why the address can't be had, and what to do."""
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is in use: stop what listens there, or choose another with --port or PORT."
    if error.errno == errno.EACCES:
        return f"Port {port} is not yours to listen on: choose one above 1023 with --port or PORT."
    return f"{host} is not an address of this machine ({error.strerror}): choose another with --host or HOST."
