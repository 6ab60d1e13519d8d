"""What the stub remembers of each request, so that a test can ask what reached it and how it ended."""

from __future__ import annotations

import base64
import itertools
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Link:
    """One TCP connection; times are of the monotonic clock, which all processes of a machine share."""

    number: int
    opened_at: float
    closed_at: float | None = None
    requests: int = 0


@dataclass(slots=True)
class Exchange:
    """One request and the progress of its answer.

    `ended` is empty while the answer is under way, then `done` (all was written), `cut` (the stub was asked to fail)
    or `cancelled` (the other side closed the connection before all was written).
    """

    number: int
    link: Link
    method: str
    target: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    received_at: float
    route: str = ""
    chunks: int = 0
    ended: str = ""
    ended_at: float | None = None

    def end(self, how: str, now: float) -> None:
        """Notes how the answer ended, the first time."""
        if not self.ended:
            self.ended, self.ended_at = how, now

    def as_json(self) -> dict[str, Any]:
        """Writes it for the control route; the body is base64."""
        return {
            "number": self.number,
            "connection": self.link.number,
            "method": self.method,
            "target": self.target,
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in self.headers],
            "body": base64.b64encode(self.body).decode(),
            "route": self.route,
            "received_at": self.received_at,
            "chunks": self.chunks,
            "ended": self.ended,
            "ended_at": self.ended_at,
            "closed_at": self.link.closed_at,
        }


MOST_BYTES = 256 * 2**20


@dataclass(slots=True)
class Recorder:
    """The last exchanges and connections, and how often each route was called.

    At most `limit` exchanges, and as many as their bodies fit into MOST_BYTES, are kept.
    """

    limit: int
    exchanges: deque[Exchange] = field(default_factory=deque)
    links: deque[Link] = field(default_factory=deque)
    calls: Counter[str] = field(default_factory=Counter)
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    held: int = 0

    def __post_init__(self) -> None:
        self.links = deque(maxlen=self.limit)

    def add(self, exchange: Exchange) -> None:
        """Remembers an exchange, and forgets the oldest when there is no room."""
        self.exchanges.append(exchange)
        self.held += len(exchange.body)
        while len(self.exchanges) > self.limit or self.held > MOST_BYTES:
            self.held -= len(self.exchanges.popleft().body)

    def reset(self) -> None:
        """Forgets everything but the connections that are open."""
        self.exchanges.clear()
        self.held = 0
        self.calls.clear()
        still = [link for link in self.links if link.closed_at is None]
        self.links.clear()
        self.links.extend(still)
