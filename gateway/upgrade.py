"""uvicorn's HTTP protocol for clients that offer HTTP/2 or WebSocket with a request, and must still be heard."""

from __future__ import annotations

import sys
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# The headers that say where a body ends.
FRAMING = (b"content-length", b"transfer-encoding")


class Unwanted(list[Any]):
    """Takes the fields that follow a chunked body, and keeps none."""

    def append(self, field: Any) -> None:
        """Forgets a field."""


class DecliningProtocol(HttpToolsProtocol):
    """Declines every offer of another protocol as RFC 9110 (7.8) has it: by serving the request as if there were none.

    httptools takes such an offer for accepted and drops the body (Java's HTTP client makes one with each request that
    it sends in plain text).  So a new parser goes on where the old one stopped, told how the body is framed.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.resuming = False
        self.data = b""
        self.rest = b""

    def data_received(self, data: bytes) -> None:
        """Parses what came, with a new parser after each offer."""
        self.rest = data
        while self.rest:
            self.data, self.rest = self.rest, b""
            super().data_received(self.data)
        self.data = b""

    def _unsupported_upgrade_warning(self) -> None:
        """Resumes after an offer; uvicorn calls this when its parser has stopped at one."""
        stop = cast("httptools.HttpParserUpgrade", sys.exception())
        framing = [b"%b: %b\r\n" % field for field in self.scope["headers"] if field[0] in FRAMING]
        self.resuming = True
        self.parser = httptools.HttpRequestParser(self)
        try:
            self.parser.feed_data(b"POST / HTTP/1.1\r\n" + b"".join(framing) + b"\r\n")
        except httptools.HttpParserError:
            self.send_400_response("")
            return
        self.rest = self.data[stop.args[0] :]

    def on_message_begin(self) -> None:
        """Begins a request, unless it has begun."""
        if not self.resuming:
            super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Lets a request in, unless it is in."""
        if not self.resuming:
            super().on_headers_complete()
            self.headers = Unwanted()
        self.resuming = False

    def on_message_complete(self) -> None:
        """Ends a request, unless its body is still to come."""
        if not self.parser.should_upgrade():
            super().on_message_complete()
