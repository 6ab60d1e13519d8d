"""uvicorn's HTTP protocol for clients that send requests ahead, without waiting for answers (pipelining)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from gateway.cycle import Cycle
from gateway.departure import Departure
from gateway.upgrade import DecliningProtocol

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

# What a client may have waiting, in bytes as they are counted below: about a hundred small requests.
MOST_AHEAD = 256 * 2**10
# What a waiting request and each of its headers take, beside their text.
REQUEST_SIZE = 1024
FIELD_SIZE = 128


class TooFarAhead(Exception):
    """A client sent more ahead than is held; raised to stop the parser."""


class AheadProtocol(DecliningProtocol):
    """Holds little of what a client sends ahead, and never stops reading for it.

    A connection that is not read from is one whose end goes unnoticed, with a call still at work for nobody.  So what
    is too much is dropped unserved and the connection ends after the last request that was held, which RFC 9112 (9.3.2,
    9.6) asks all clients to be ready for.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.running: RequestResponseCycle | None = None  # uvicorn's `cycle` is the one that is parsed
        self.sizes: deque[int] = deque()  # of the requests in `pipeline`, the first one last as there
        self.deaf = False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells the running request that its client is gone, and forgets those behind it."""
        self.pipeline.clear()
        self.sizes.clear()
        super().connection_lost(exc)
        if self.running is not None:
            self.running.disconnected = not self.running.response_complete
            self.running.message_event.set()
            self.running.scope["departure"].happen()  # type: ignore[typeddict-item]  # see `on_headers_complete`
        # They and this hold each other: let go of, all is freed here, and nothing waits for the garbage collector.
        self.cycle = self.running = self.scope = None  # type: ignore[assignment]  # as uvicorn's parser

    def data_received(self, data: bytes) -> None:
        """Parses what came, unless it comes too far ahead."""
        if not self.deaf:
            super().data_received(data)

    def on_headers_complete(self) -> None:
        """Lets the request in, or holds it until it is its turn; raises TooFarAhead."""
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is before:
            return
        self.cycle.__class__ = Cycle  # uvicorn has no way to name another
        self.scope["departure"] = Departure()  # type: ignore[typeddict-unknown-key]  # the server's own
        if not self.pipeline:
            self.running = self.cycle
            return
        fields = sum(FIELD_SIZE + len(name) + len(value) for name, value in self.scope["headers"])
        self.sizes.appendleft(0)
        self.hold(REQUEST_SIZE + len(self.url) + fields, before)

    def on_body(self, body: bytes) -> None:
        """Passes a part of the body on; raises TooFarAhead."""
        super().on_body(body)
        if self.pipeline:
            self.hold(len(body), self.pipeline[1][0] if len(self.pipeline) > 1 else self.running)

    def on_message_complete(self) -> None:
        """Goes on reading behind a whole body: uvicorn stops at a large one until the application asks for more."""
        super().on_message_complete()
        self.flow.resume_reading()

    def hold(self, size: int, before: RequestResponseCycle | None) -> None:
        """Counts what came for a request that waits behind `before`; raises TooFarAhead when it can't be held."""
        self.sizes[0] += size
        if before is not None and (sum(self.sizes) > MOST_AHEAD or not before.keep_alive):
            self.drop_last()
            raise TooFarAhead
        self.flow.resume_reading()

    def drop_last(self) -> None:
        """Drops the request that came last of those that wait; the connection ends after the one before it."""
        self.pipeline.popleft()
        self.sizes.popleft()
        before = self.pipeline[0][0] if self.pipeline else self.running
        assert before is not None  # noqa: S101 -- requests wait behind one that runs
        self.cycle = before
        self.deaf = True
        self.flow.resume_reading()
        self.end_after(before)

    def end_after(self, cycle: RequestResponseCycle) -> None:
        """Makes this request the connection's last."""
        cycle.keep_alive = False

    def on_response_complete(self) -> None:
        """Begins the next request that waits."""
        if self.pipeline and not self.transport.is_closing():
            self.running = self.pipeline[-1][0]
            self.sizes.pop()
        super().on_response_complete()
