"""An answer before it meets the wire: whole, or in chunks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

JSON = "application/json; charset=utf-8"
PLAIN = "text/plain"
NDJSON = "application/x-ndjson"
SSE = "text/event-stream"

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer in one piece, with its length."""

    body: bytes = b""
    status: int = 200
    content_type: str | None = JSON
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer in chunks; each inner bytes is flushed on its own.

    `chunks` are what the knobs count, `ending` is how it ends well, `broken` what stands for an error on the way.
    """

    chunks: Iterable[tuple[bytes, ...]]
    ending: tuple[bytes, ...]
    broken: tuple[bytes, ...]
    content_type: str = NDJSON
    headers: Headers = ()


Answer = Whole | Stream
