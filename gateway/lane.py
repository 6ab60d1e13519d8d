"""The machine lane: requests of programs, served without a thread hop, a query or a signal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpResponse
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated

from apikeys.authentication import known_principal
from apikeys.credential import PATH_KEY
from gateway.cors import CorsMiddleware
from gateway.cycle import SHORTCUT, WHOLE
from gateway.errors import is_browser, page_not_found
from gateway.path_key import SCOPE_KEY
from gateway.request import LaneRequest, client_of
from gateway.requestid import request_id_of
from gateway.rest import refusal_of
from proxy.call import CUT, DONE, FAILED, LEFT, Call
from proxy.exceptions import BadHost, NoMethod, NoRoute
from proxy.live import live
from proxy.relay import EventStream
from proxy.report import Reporter
from proxy.views import limits_said, refused
from usage.refused_calls import refused_calls

if TYPE_CHECKING:
    from gateway.request import Receive, Scope, Send
    from gateway.rest import Refusal
    from proxy.lane import Lane


# There is no need to look for a valid key behind these.
UNKNOWN_CALLER = (AuthenticationFailed, NotAuthenticated)
Respond = Callable[[LaneRequest], Awaitable[HttpResponse | EventStream]]


# With a wildcard among ALLOWED_HOSTS a client could make the known ones grow for ever.
MAX_KNOWN_HOSTS = 256


class MachineLane:
    """Serves the paths of a table of views, and says no to everything else, in the dialect of the path."""

    def __init__(self, table: Lane) -> None:
        self.table = table
        self.known_hosts: set[str] = set()  # what was found good once is good again
        self.respond_with_cors: Respond = CorsMiddleware(self.respond)  # type: ignore[arg-type, assignment]  # a narrower request; always a coroutine
        self.report = Reporter(
            as_json=settings.ENV.production,
            addresses=settings.ENV.LOG_ADDRESSES,
            keep=refused_calls.add,
            record_addresses=settings.ENV.RECORD_ADDRESSES,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request; whatever happens, its call is finished when this returns."""
        call = Call(request_id_of(scope), scope["method"], scope["path"], client_of(scope))
        call.on_finish = self.report
        live.calls.add(call)
        request = LaneRequest(scope, receive, call)
        if SCOPE_KEY in scope:
            request.META[PATH_KEY] = scope[SCOPE_KEY]
        call.user_agent = request.META.get("HTTP_USER_AGENT", "")
        sending = Sending(request, send)
        try:
            try:
                # Only browsers name an origin; for all others CORS comes down to one header (see Sending.headers).
                respond = self.respond_with_cors if "HTTP_ORIGIN" in request.META else self.respond
                await sending.response(await respond(request))
            except asyncio.CancelledError:
                # The client left, the server stops for good, or somebody cut the call: only a cut has last words.
                if call.refusal is None or call.outcome.ended == LEFT:
                    raise
                uncancel()
                await sending.last_words(call.refusal, CUT)
            except Exception as error:  # noqa: BLE001 -- every failure becomes an answer, or the last of a stream
                await sending.last_words(refusal_of(error), FAILED)
        except asyncio.CancelledError:
            # Whoever wanted this task to end has what he wanted; raised any further it would be logged as a failure.
            call.outcome.ended = CUT if scope.get("cut") else LEFT
        finally:
            live.calls.discard(call)
            call.finish()

    async def respond(self, request: LaneRequest) -> HttpResponse | EventStream:
        """Finds the view and lets it answer."""
        call = request.call
        try:
            self.check_host(request)
            found = self.table.find(request.scope["raw_path"])
            if found is None:
                raise NoRoute
            view, request.argument = found
            call.route = view.path
            if call.method not in view.routes:
                raise NoMethod(call.method, sorted(view.routes))
            return cast("HttpResponse | EventStream", await view().dispatch(request))
        except Exception as error:  # noqa: BLE001 -- every failure becomes an answer
            if call.principal is None and not isinstance(error, UNKNOWN_CALLER):
                call.principal = known_principal(request.META)
            answer = refused(refusal_of(error), request)
            return page_not_found(request) if isinstance(error, NoRoute) and is_browser(request) else answer

    def check_host(self, request: LaneRequest) -> None:
        """Raises BadHost for a Host header that names none of ALLOWED_HOSTS."""
        host = request.META.get("HTTP_HOST", "")
        if host in self.known_hosts:
            return
        try:
            request.get_host()
        except DisallowedHost:
            raise BadHost from None
        if len(self.known_hosts) < MAX_KNOWN_HOSTS:
            self.known_hosts.add(host)


def uncancel() -> None:
    """Takes back the cancellation that interrupted the running task."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()


class Sending:
    """One response on its way out."""

    def __init__(self, request: LaneRequest, send: Send) -> None:
        self.request = request
        self.call = request.call
        self.send = send
        self.stream: EventStream | None = None
        self.unsent = b""
        self.server_is_ours = "departure" in request.scope

    async def response(self, response: HttpResponse | EventStream) -> None:
        """Sends a whole response, or a stream until it ends."""
        if isinstance(response, EventStream):
            self.stream = response
            outcome = self.call.outcome
            await self.start(response, self.headers(response))
            if self.server_is_ours:
                await self.send({"type": SHORTCUT, "relay": response.relay})
            async for frames in response:
                self.unsent = frames
                outcome.sent_bytes += len(frames)
                await self.send({"type": "http.response.body", "body": frames, "more_body": True})
                self.unsent = b""
            await self.send({"type": "http.response.body"})
        else:
            await self.whole(response)

    async def whole(self, response: HttpResponse) -> None:
        """Sends a whole response, in one message where the server can take one."""
        content, outcome = response.content, self.call.outcome
        if self.server_is_ours:
            head = self.headers(response)
            await self.send({"type": WHOLE, "status": response.status_code, "headers": head, "body": content})
            outcome.status = response.status_code
        else:
            head = [*self.headers(response), (b"Content-Length", str(len(content)).encode())]
            await self.start(response, head)
            await self.send({"type": "http.response.body", "body": content})
        outcome.sent_bytes = len(content)
        outcome.ended = outcome.ended or DONE

    def headers(self, response: HttpResponse | EventStream) -> list[tuple[bytes, bytes]]:
        """Returns a response's headers as ASGI has them."""
        # The mapping's own ways make a generator of each look, and an exception of what is not there.
        fields = response.headers._store  # noqa: SLF001 -- see above
        fields.pop("content-length", None)  # the server writes it, or frames the answer otherwise
        headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in fields.values()]
        headers += limits_said(self.call)
        headers.append((b"X-Request-ID", self.call.request_id.encode()))
        headers.append((b"X-Content-Type-Options", b"nosniff"))
        if SCOPE_KEY in self.request.scope:
            headers.append((b"Referrer-Policy", b"no-referrer"))
        if "vary" not in fields:
            headers.append((b"Vary", b"origin"))
        return headers

    async def start(self, response: HttpResponse | EventStream, head: list[tuple[bytes, bytes]]) -> None:
        """Sends the head."""
        await self.send({"type": "http.response.start", "status": response.status_code, "headers": head})
        self.call.outcome.status = response.status_code

    async def last_words(self, refusal: Refusal, ended: str) -> None:
        """Tells the client why its call ended early: as the answer, or as the stream's last event.

        A stream whose every frame is out has had its end, and an answer that was begun can't be taken back.
        """
        self.call.release()  # a client that reads slowly, or not at all, must not keep Ollama at work meanwhile
        if not self.call.outcome.status:
            await self.response(refused(refusal, self.request))
            self.call.outcome.ended = ended
        elif self.stream is None:
            self.call.outcome.ended = ended
        else:
            event = b"" if self.stream.relay.over and not self.unsent else self.stream.relay.fail(refusal, ended)
            self.call.outcome.sent_bytes += len(event)
            await self.send({"type": "http.response.body", "body": event})
