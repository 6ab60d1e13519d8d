"""Reads request bodies: only of permitted callers, never more than the limits, never for ever."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from proxy.decoding import DECODER_BYTES, DECODERS, DamagedBody, Decoder
from proxy.exceptions import BadBody, BodyExpands, BodyTimeout, BodyTooLarge, Busy, EncodedBody

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.request import LaneRequest
    from proxy.call import Call


class ClientGone(asyncio.CancelledError):
    """The client left while it was sending; this ends a call as its leaving at any other moment does."""


# Others get the loop after so many blocks of a body that is decoded: one or two milliseconds of work with gzip.
BLOCKS_A_TURN = 2
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
        self.decoder_bytes = min(DECODER_BYTES, total // 8)
        self.most_of_one = max(total // PART_OF_ONE_KEY, limit + self.decoder_bytes)
        self.held = 0
        self.held_by: dict[str, int] = {}

    async def read(self, call: Call, request: LaneRequest) -> bytes:
        """Reads a request's body.

        Raises EncodedBody, BadBody, BodyTooLarge, Busy and ClientGone; a client that pauses too long is cut
        (BodyTimeout).
        """
        coding = coding_of(request)
        limit = self.limit_of(call)
        declared = request.META.get("CONTENT_LENGTH") or "0"
        if not declared.isdigit() or int(declared) > limit:
            raise BodyTooLarge(limit)
        share = call.share = Share(self, limit, call.principal.key_id if call.principal is not None else "")
        call.holds.append(share)
        parts: list[bytes] = []
        take: Callable[[bytes], Awaitable[None]] | None = None
        if coding:
            share.hold(self.decoder_bytes)
            take = Decoding(coding, share, parts, limit).take
        received = 0
        while True:
            call.wait_until(monotonic() + self.pause, BodyTimeout)
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            part: bytes = message.get("body", b"")
            if part:
                received += len(part)
                if take is None:
                    share.take(len(part))
                    parts.append(part)
                else:
                    await take(part)
            if not message.get("more_body", False):
                if take is not None:
                    await take(b"")
                    share.release(share.held - share.size)
                request.is_read = True
                call.outcome.received_bytes = received
                return parts[0] if len(parts) == 1 else b"".join(parts)

    def limit_of(self, call: Call) -> int:
        """Returns how large a call's body may be, in bytes: its key may have a smaller limit than all."""
        own = call.principal.body_limit if call.principal is not None else None
        return self.limit if own is None else min(self.limit, own)


def coding_of(request: LaneRequest) -> str:
    """Returns the content coding of a request's body, "" for none; raises EncodedBody for one that is not supported."""
    coding = request.META.get("HTTP_CONTENT_ENCODING", "").lower()
    if coding in ("", "identity"):
        return ""
    if coding not in DECODERS:
        raise EncodedBody(coding)
    return str(coding)


class Decoding:
    """Decodes one call's body into its parts."""

    def __init__(self, coding: str, share: Share, parts: list[bytes], limit: int) -> None:
        self.coding = coding
        self.decoder = Decoder(coding)
        self.share = share
        self.parts = parts
        self.limit = limit
        self.blocks = 0

    async def take(self, data: bytes) -> None:
        """Decodes what came, b"" for the body's end; raises BadBody, BodyTooLarge, BodyExpands and Busy."""
        decoder, share = self.decoder, self.share
        try:
            if not data:
                decoder.end()
            for block in decoder.blocks(data):
                share.take(len(block))
                if share.size > decoder.most():
                    raise BodyExpands
                self.parts.append(block)
                self.blocks += 1
                if not self.blocks % BLOCKS_A_TURN:
                    await asyncio.sleep(0)
        except DamagedBody:
            raise BadBody(f"The request body can't be decoded: it is not valid {self.coding}, or incomplete.") from None
        if decoder.received > self.limit:
            raise BodyTooLarge(self.limit)


class Share:
    """One call's part of all bodies in memory, given back when the call ends.

    `size` is that of the body so far, `held` the memory that is counted for it, both in bytes.
    """

    def __init__(self, bodies: Bodies, limit: int, key_id: str) -> None:
        self.bodies = bodies
        self.limit = limit
        self.key_id = key_id
        self.size = self.held = 0

    def take(self, size: int) -> None:
        """Counts bytes of the body in; raises BodyTooLarge for too many of one, Busy for too many of all."""
        if self.size + size > self.limit:
            raise BodyTooLarge(self.limit)
        self.hold(size)
        self.size += size

    def hold(self, size: int) -> None:
        """Counts memory in; raises Busy for too much of one key's, or of all."""
        bodies = self.bodies
        mine = bodies.held_by.get(self.key_id, 0) + size
        if bodies.held + size > bodies.total or mine > bodies.most_of_one:
            raise Busy
        bodies.held += size
        bodies.held_by[self.key_id] = mine
        self.held += size

    def release(self, size: int) -> None:
        """Gives memory back."""
        if not size:
            return
        held_by = self.bodies.held_by
        self.bodies.held -= size
        self.held -= size
        others = held_by.pop(self.key_id) - size
        if others:
            held_by[self.key_id] = others

    def close(self) -> None:
        """Gives everything back; a second time does nothing."""
        self.release(self.held)
        self.size = 0
