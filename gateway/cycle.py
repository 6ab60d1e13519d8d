"""A request and its answer on uvicorn's connection, with shorter ways for whole answers and for chunks of streams."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping

    Message = MutableMapping[str, Any]

# An extension of ASGI that this server offers: one message with `status`, `headers` and `body`.  Its headers have been
# checked by whoever made them, name no length and do not frame the body.
WHOLE = "http.response.whole"
# Another: from here on its `relay` may write chunks of the answer to `relay.outlet` without a message for each.
SHORTCUT = "http.response.shortcut"
# Writes a field of a head.
FIELD = b"%b: %b\r\n".__mod__
HTTP_1_1 = "1.1"
BODILESS = frozenset({204, 304})
# A length that is left however much was sent of it.
UNKNOWN: Any = math.inf


class Cycle(RequestResponseCycle):
    """uvicorn's cycle, and the outlet of a stream's shortcut; uvicorn makes it, so it has no state of its own."""

    async def send(self, message: Message) -> None:  # type: ignore[override]  # one kind of message more
        """Sends a message of the application."""
        if message["type"] == SHORTCUT:
            message["relay"].outlet = self if self.chunked_encoding else None
            return
        more = message.get("more_body", False) and self.chunked_encoding
        if not more and message["type"] != WHOLE:
            if self.scope["http_version"] != HTTP_1_1:
                self.mind_old_client(message)
            await super().send(message)  # type: ignore[arg-type]
            return
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if more:
            if body := message["body"]:
                self.write(body)
            return
        if self.response_started:
            raise RuntimeError("An answer has begun already.")
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write(self.whole(message["status"], message["headers"], message["body"]))
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    def mind_old_client(self, message: Message) -> None:
        """Lets an answer of unknown length end with the connection: before HTTP/1.1 there were no chunks.

        RFC 9112 (6.1) forbids them there, which uvicorn doesn't know (0.54).
        """
        if message["type"] == "http.response.start":
            if all(name.lower() != b"content-length" for name, _value in message.get("headers", ())):
                self.chunked_encoding, self.expected_content_length = False, UNKNOWN
        elif self.expected_content_length == UNKNOWN and not message.get("more_body", False):
            self.expected_content_length = len(message.get("body", b""))

    def is_full(self) -> bool:
        """Tells whether no chunk may be written now."""
        return self.flow.write_paused or self.disconnected

    def write(self, frames: bytes) -> None:
        """Writes a chunk of a stream."""
        self.transport.write(b"%x\r\n%b\r\n" % (len(frames), frames))

    def whole(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
        """Returns the bytes of a whole answer, so that they travel together."""
        parts = [STATUS_LINE[status], *map(FIELD, self.default_headers), *map(FIELD, headers)]
        if not self.keep_alive:
            parts.append(b"connection: close\r\n")
        # RFC 9110 (8.6) forbids a length where there can't be a body.
        parts.append(b"\r\n" if status in BODILESS else b"content-length: %d\r\n\r\n" % len(body))
        if self.scope["method"] != "HEAD":
            parts.append(body)
        return b"".join(parts)
