"""Request bodies: known whole, or coming bit by bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

JSON = "application/json"


class Body(httpx.AsyncByteStream):
    """A request body that is known whole, so that it travels with a Content-Length."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yields the body, for transports that know no better."""
        yield self.content


class Upload(httpx.AsyncByteStream):
    """A request body that comes bit by bit; of an unknown size (None) it travels in chunks."""

    def __init__(self, parts: AsyncIterator[bytes], size: int | None, content_type: str = JSON) -> None:
        self.parts = parts
        self.size = size
        self.content_type = content_type

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Returns the parts."""
        return self.parts


Payload = bytes | Upload
