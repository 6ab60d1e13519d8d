"""The machine lane: requests of programs, served without a thread hop, a query or a signal."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from corsheaders.middleware import CorsMiddleware
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest

from gateway.requestid import request_id_of
from gateway.rest import refusal_of
from proxy.call import CUT, DONE, FAILED, LEFT, REFUSED, Call
from proxy.exceptions import BadHost, NoMethod, NoRoute
from proxy.live import live
from proxy.relay import EventStream
from proxy.report import reporter
from proxy.surfaces import surface_of
from proxy.views import refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, MutableMapping

    from django.http.response import HttpResponseBase

    from gateway.rest import Refusal
    from proxy.views import RelayView

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

NO_BODY = io.BytesIO()


class LaneRequest(ASGIRequest):
    """A request whose body has not been read; it carries its call.

    It has of Django's request what views and CORS need, and is made in a third of the time.
    """

    def __init__(self, scope: Scope, receive: Receive, call: Call) -> None:  # not super's: see above
        self.scope = scope
        self.receive = receive
        self.call = call
        self.method = call.method
        self.path = self.path_info = call.path
        self.META = meta = {"REQUEST_METHOD": call.method, "QUERY_STRING": "", "SERVER_NAME": "", "SERVER_PORT": "0"}
        self.headers = headers = {}
        for raw_name, raw_value in scope["headers"]:
            name = META_NAMES.get(raw_name) or meta_name(raw_name)
            value = raw_value.decode("latin-1")
            meta[name] = f"{meta[name]},{value}" if name in meta else value
            headers[raw_name.decode("latin-1")] = value
        self._stream = NO_BODY


# How headers are called in META; a client can't make it grow.
META_NAMES: dict[bytes, str] = {}
MOST_NAMES = 256


def meta_name(name: bytes) -> str:
    """Returns how a header (lower case, as ASGI has it) is called in META; with an underscore it is nobody's."""
    text = name.decode("latin-1")
    if "_" in text:
        return "INVALID"
    plain = text.upper().replace("-", "_")
    known = plain if plain in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{plain}"
    if len(META_NAMES) < MOST_NAMES:
        META_NAMES[name] = known
    return known


class MachineLane:
    """Serves the paths of a table of views, and says no to everything else, in the dialect of the path."""

    def __init__(self, views: Mapping[bytes, type[RelayView]]) -> None:
        self.views = views
        self.respond_with_cors = CorsMiddleware(self.respond)
        self.report = reporter(as_json=settings.ENV.production, addresses=settings.ENV.LOG_ADDRESSES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request; whatever happens, its call is finished when this returns."""
        call = Call(request_id_of(scope), scope["method"], scope["path"], client_of(scope))
        call.on_finish = self.report
        live.calls.add(call)
        sending = Sending(call, send)
        try:
            try:
                await sending.response(await self.respond_with_cors(LaneRequest(scope, receive, call)))
            except asyncio.CancelledError:
                # The client left, the server stops for good, or somebody cut the call: only a cut has last words.
                if call.refusal is None or call.outcome.ended == LEFT:
                    raise
                asyncio.current_task().uncancel()
                await sending.last_words(call.refusal, CUT)
            except Exception as error:  # noqa: BLE001 -- every failure becomes an answer, or the last of a stream
                await sending.last_words(refusal_of(error), FAILED)
        except asyncio.CancelledError:
            # Whoever wanted this task to end has what he wanted; raised any further it would be logged as a failure.
            call.outcome.ended = LEFT
        finally:
            live.calls.discard(call)
            call.finish()

    async def respond(self, request: LaneRequest) -> HttpResponseBase:
        """Finds the view and lets it answer."""
        call = request.call
        try:
            self.check_host(request)
            view = self.views.get(request.scope["raw_path"])
            if view is None:
                raise NoRoute
            call.route = call.path
            if call.method not in view.routes:
                raise NoMethod(call.method, sorted(view.routes))
            return await view().dispatch(request)
        except Exception as error:  # noqa: BLE001 -- every failure becomes an answer
            return refused(refusal_of(error), surface_of(call.path), call)

    def check_host(self, request: LaneRequest) -> None:
        """Raises BadHost for a Host header that names none of ALLOWED_HOSTS."""
        try:
            request.get_host()
        except DisallowedHost:
            raise BadHost from None


class Sending:
    """One response on its way out."""

    def __init__(self, call: Call, send: Send) -> None:
        self.call = call
        self.send = send
        self.stream: EventStream | None = None
        self.unsent = b""

    async def response(self, response: HttpResponseBase) -> None:
        """Sends a whole response, or a stream until it ends."""
        if isinstance(response, EventStream):
            self.stream = response
            await self.start(response)
            async for frames in response:
                self.unsent = frames
                await self.send({"type": "http.response.body", "body": frames, "more_body": True})
                self.unsent = b""
            await self.send({"type": "http.response.body"})
        else:
            content = response.content
            response.headers["Content-Length"] = str(len(content))
            await self.start(response)
            await self.send({"type": "http.response.body", "body": content})
            self.call.outcome.ended = self.call.outcome.ended or ended_with(response.status_code)

    async def start(self, response: HttpResponseBase) -> None:
        """Sends the head."""
        headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
        headers.append((b"X-Request-ID", self.call.request_id.encode()))
        headers.append((b"X-Content-Type-Options", b"nosniff"))
        await self.send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        self.call.outcome.status = response.status_code

    async def last_words(self, refusal: Refusal, ended: str) -> None:
        """Tells the client why its call ended early: as the answer, or as the stream's last event.

        A stream whose every frame is out has had its end, and an answer that was begun can't be taken back.
        """
        if self.stream is None:
            self.call.outcome.ended = ended
        if not self.call.outcome.status:
            await self.response(refused(refusal, surface_of(self.call.path), self.call))
        elif self.stream is not None:
            event = b"" if self.stream.relay.over and not self.unsent else self.stream.relay.fail(refusal, ended)
            await self.send({"type": "http.response.body", "body": event})


def ended_with(status: int) -> str:
    """Returns how a call ended whose whole answer was ours."""
    if status < 400:  # noqa: PLR2004 -- HTTP's classes
        return DONE
    return REFUSED if status < 500 else FAILED  # noqa: PLR2004


def client_of(scope: Scope) -> str:
    """Returns the client's address, "" where it has none."""
    client = scope.get("client")
    return client[0] if client else ""
