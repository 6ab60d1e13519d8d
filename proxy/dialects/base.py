"""What every surface and every wire format has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import orjson

if TYPE_CHECKING:
    from gateway.rest import Refusal
    from proxy.call import Usage


class Surface(Protocol):
    """How we speak to a client outside a stream."""

    name: str

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        """Returns a refusal as this client's error body, JSON."""

    def error_event(self, refusal: Refusal, request_id: str) -> bytes:
        """Returns a refusal as the last event of an event stream."""


class Reader(Protocol):
    """Reads one stream on its way through, and says when it is over."""

    over: bool  # the terminal mark has been read: nothing may follow
    failure: str | None  # Ollama reported an error within the stream, in these words
    usage: Usage

    def feed(self, chunk: bytes) -> bytes:
        """Takes bytes of the upstream, returns bytes for the client: whole frames only."""

    def end(self) -> bytes:
        """Takes the upstream's end, returns the last bytes for the client."""


class WireFormat(Protocol):
    """How one kind of answer works: its framing, its terminal mark, its counts, its error event."""

    media_type: ClassVar[str]

    def reader(self) -> Reader:
        """Returns a reader for one stream."""

    def usage(self, body: bytes) -> Usage:
        """Returns what an answer that was not streamed says it cost."""

    def error_event(self, surface: Surface, refusal: Refusal, request_id: str) -> bytes:
        """Returns a refusal as the stream's last words."""


def parsed(frame: bytes) -> dict[str, Any]:
    """Parses a frame that Ollama wrote; anything but a JSON object counts as an empty one."""
    try:
        value = orjson.loads(frame)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def count(value: object) -> int | None:
    """Returns a count or duration, None where it is not a whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
