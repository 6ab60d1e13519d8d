"""Reads request bodies: only of permitted callers, never more than the limits, never for ever."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from proxy.exceptions import BodyTimeout, BodyTooLarge, Busy, EncodedBody

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping
    from typing import Any

    from proxy.call import Call


class ClientGone(asyncio.CancelledError):
    """The client left while it was sending; this ends a call as its leaving at any other moment does."""


class Buffer:
    """The sum of all request bodies in memory, and its bound."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0

    def take(self, size: int) -> None:
        """Counts bytes in; raises Busy when there is no room."""
        if self.held + size > self.limit:
            raise Busy
        self.held += size


class Share:
    """One call's part of the buffer, given back when the call ends."""

    def __init__(self, buffer: Buffer) -> None:
        self.buffer = buffer
        self.size = 0

    def take(self, size: int) -> None:
        """Counts bytes in; raises Busy when there is no room."""
        self.buffer.take(size)
        self.size += size

    def close(self) -> None:
        """Gives everything back."""
        self.buffer.held -= self.size
        self.size = 0


async def read_body(
    call: Call,
    meta: Mapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    buffer: Buffer,
    limit: int,
    pause: float,
) -> bytes:
    """Reads a request's body.

    `limit` is in bytes; `pause` is how many seconds the client may send nothing.  Raises EncodedBody, BodyTooLarge,
    Busy, and ClientGone; BodyTimeout comes as a cut.
    """
    encoding = meta.get("HTTP_CONTENT_ENCODING", "")
    if encoding and encoding.lower() != "identity":
        raise EncodedBody(encoding)
    declared = meta.get("CONTENT_LENGTH") or "0"
    if not declared.isdigit() or int(declared) > limit:
        raise BodyTooLarge(limit)
    share = Share(buffer)
    call.holds.append(share)
    parts: list[bytes] = []
    while True:
        call.wait_until(monotonic() + pause, BodyTimeout)
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part: bytes = message.get("body", b"")
        if part:
            share.take(len(part))
            if share.size > limit:
                raise BodyTooLarge(limit)
            parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)
