"""A connection that sends whatever it is given, and is opened again when the server has closed it."""

from __future__ import annotations

from contextlib import suppress

from tests.harness import TROUBLE, GatewayServer
from tests.proxy.wire import Answer, Client


class Prober:
    """Sends requests to a gateway and refuses answers that nobody should get."""

    def __init__(self, server: GatewayServer) -> None:
        self.server = server
        self.client: Client | None = None
        self.read = len(server.log())

    def send(self, request: bytes, *, head_only: bool = False) -> Answer | None:
        """Sends a request; returns its answer, None where the server closed the connection without one.

        Raises AssertionError for a 500, or a traceback in the log.
        """
        if self.client is None:
            self.client = Client(self.server)
        answer = None
        try:
            self.client.send(request)
            answer = self.client.answer(bodiless=head_only)
        except (OSError, EOFError, AssertionError, ValueError, IndexError):
            self.close()
        if answer is not None and answer.headers.get("connection", "").lower() == "close":
            self.close()
        assert answer is None or answer.status != 500, (request[:2000], answer.body[:500])
        return answer

    def check_log(self) -> None:
        """Raises AssertionError for a traceback since the last look."""
        said = self.server.log()[self.read :]
        self.read += len(said)
        assert not any(sign in said for sign in TROUBLE), said[-5000:]

    def close(self) -> None:
        """Closes the connection; the next request opens another."""
        client, self.client = self.client, None
        if client is not None:
            with suppress(OSError):
                client.leave()


def request(method: str, target: str, headers: dict[str, str], body: bytes | None = None) -> bytes:
    """Writes a request; header values are sent as they are, in Latin-1."""
    fields = {"Host": "127.0.0.1", **headers}
    if body is not None:
        fields["Content-Length"] = str(len(body))
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + (body or b"")
