"""One request and its answer, over ASGI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from engine.errors import Refusal
from engine.wire import dumps

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_BODY = 32 * 2**20  # bytes; a prompt that fits the context is a thousandth of it
JSON = "application/json; charset=utf-8"
PLAIN = "text/plain; charset=utf-8"
NDJSON = "application/x-ndjson"
SSE = "text/event-stream"


class Exchange:
    """A request whose body is read, and the answer that is being sent to it."""

    def __init__(self, method: str, path: str, body: bytes, send: Send) -> None:
        self.method = method
        self.path = path
        self.body = body
        self.started = False
        self._send = send

    async def whole(self, status: int, content: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        """Sends a complete answer."""
        await self._start(status, kind, {"content-length": str(len(content)), **(headers or {})})
        await self._send({"type": "http.response.body", "body": b"" if self.method == "HEAD" else content})

    async def json(self, value: object, status: int = 200) -> None:
        """Sends a complete answer in JSON."""
        await self.whole(status, dumps(value), JSON)

    async def piece(self, content: bytes, kind: str) -> None:
        """Sends a piece of a stream; the head leaves with the first one, as Ollama's does."""
        if not self.started:
            await self._start(200, kind, {})
        await self._send({"type": "http.response.body", "body": content, "more_body": True})

    async def end(self) -> None:
        """Ends a stream."""
        await self._send({"type": "http.response.body", "body": b""})

    async def _start(self, status: int, kind: str, headers: dict[str, str]) -> None:
        self.started = True
        pairs = [(name.encode(), value.encode()) for name, value in {"content-type": kind, **headers}.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": pairs})


async def read_body(receive: Receive) -> bytes | None:
    """Returns the request's body, or None when the client left before its end.

    Raises Refusal(413) when it is too large.
    """
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > MAX_BODY:
            raise Refusal(413, "the request body is too large")
        if not message.get("more_body", False):
            return b"".join(pieces)


async def until_gone(receive: Receive) -> None:
    """Returns when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
