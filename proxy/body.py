"""Reads request bodies: only of permitted callers, never more than the limits, never for ever."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from proxy.exceptions import BodyTimeout, BodyTooLarge, Busy, EncodedBody

if TYPE_CHECKING:
    from gateway.request import LaneRequest
    from proxy.call import Call


class ClientGone(asyncio.CancelledError):
    """The client left while it was sending; this ends a call as its leaving at any other moment does."""


# One key's bodies take this part of all memory for bodies at most, so that none of them starves the others.
PART_OF_ONE_KEY = 4


class Bodies:
    """Reads bodies, and bounds each of them, their sum in memory, and the time that a client may pause.

    `limit` and `total` are in bytes, `pause` in seconds.
    """

    def __init__(self, limit: int, total: int, pause: float) -> None:
        self.limit = limit
        self.total = total
        self.pause = pause
        self.most_of_one = max(total // PART_OF_ONE_KEY, limit)
        self.held = 0
        self.held_by: dict[str, int] = {}

    async def read(self, call: Call, request: LaneRequest) -> bytes:
        """Reads a request's body.

        Raises EncodedBody, BodyTooLarge, Busy and ClientGone; a client that pauses too long is cut (BodyTimeout).
        """
        encoding = request.META.get("HTTP_CONTENT_ENCODING", "")
        if encoding and encoding.lower() != "identity":
            raise EncodedBody(encoding)
        limit = self.limit_of(call)
        declared = request.META.get("CONTENT_LENGTH") or "0"
        if not declared.isdigit() or int(declared) > limit:
            raise BodyTooLarge(limit)
        share = call.share = Share(self, limit, call.principal.key_id if call.principal is not None else "")
        call.holds.append(share)
        parts: list[bytes] = []
        while True:
            call.wait_until(monotonic() + self.pause, BodyTimeout)
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            part: bytes = message.get("body", b"")
            if part:
                share.take(len(part))
                parts.append(part)
            if not message.get("more_body", False):
                request.is_read = True
                call.outcome.received_bytes = share.size
                return parts[0] if len(parts) == 1 else b"".join(parts)

    def limit_of(self, call: Call) -> int:
        """Returns how large a call's body may be, in bytes: its key may have a smaller limit than all."""
        own = call.principal.body_limit if call.principal is not None else None
        return self.limit if own is None else min(self.limit, own)


class Share:
    """One call's part of all bodies in memory, given back when the call ends."""

    def __init__(self, bodies: Bodies, limit: int, key_id: str) -> None:
        self.bodies = bodies
        self.limit = limit
        self.key_id = key_id
        self.size = 0

    def take(self, size: int) -> None:
        """Counts bytes in; raises BodyTooLarge for too many of one, Busy for too many of all."""
        if self.size + size > self.limit:
            raise BodyTooLarge(self.limit)
        bodies = self.bodies
        mine = bodies.held_by.get(self.key_id, 0) + size
        if bodies.held + size > bodies.total or mine > bodies.most_of_one:
            raise Busy
        bodies.held += size
        bodies.held_by[self.key_id] = mine
        self.size += size

    def close(self) -> None:
        """Gives everything back; a second time does nothing."""
        if not self.size:
            return
        held_by = self.bodies.held_by
        self.bodies.held -= self.size
        others = held_by.pop(self.key_id) - self.size
        if others:
            held_by[self.key_id] = others
        self.size = 0
