"""The one view behind every route to Ollama."""

from __future__ import annotations

import re
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from django.http import HttpResponse

from apikeys.authentication import APIKeyAuthentication
from apikeys.permissions import HasAPIKey
from gateway.rest import AsyncAPIView, refusal_of
from proxy.body import read_body
from proxy.call import DONE, Facts
from proxy.exceptions import UpstreamTimeout
from proxy.policy import canonical
from proxy.refusals import upstream_refusal
from proxy.relay import EventStream, Relay, whole
from proxy.running import running

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http.response import HttpResponseBase
    from gateway.lane import LaneRequest

    from gateway.rest import Refusal
    from proxy.call import Call
    from proxy.dialects.base import Surface
    from proxy.routes import Route


class RelayView(AsyncAPIView):
    """Relays one route: who calls, is it allowed, what for; then Ollama's answer."""

    authentication_classes: ClassVar[Any] = [APIKeyAuthentication]
    permission_classes: ClassVar[Any] = [HasAPIKey]
    routes: ClassVar[Mapping[str, Route]]
    surface: ClassVar[Surface]

    async def relay(self, request: LaneRequest) -> HttpResponseBase:
        """Serves one permitted request."""
        call: Call = request.call
        call.principal = request.user
        route = self.routes[call.method]
        raw = await read_body(
            call, request.META, request.receive, running.buffer, running.body_limit, running.body_pause
        )
        call.watch(request.receive)
        ask = canonical(route.shape, raw, running.default_model)
        call.facts = Facts(ask.model, ask.streamed)
        call.wait_until(monotonic() + running.first_byte_timeout, first_byte_timed_out)
        answer = await running.upstream.send(route.method, route.upstream, ask.body)
        call.holds.append(answer)
        if answer.status >= 300:  # noqa: PLR2004 -- anything but a success
            raise upstream_refusal(answer.status, await whole(answer, call, running.idle), ask.model)
        if ask.streamed:
            relay = Relay(call, route, answer, running.idle)
            return EventStream(relay, route.format.media_type)
        body = await whole(answer, call, running.idle)
        call.outcome.first_byte = monotonic() - call.started
        call.outcome.usage = route.format.usage(body)
        call.outcome.ended = DONE
        return HttpResponse(body, content_type="application/json", status=answer.status)

    def error_response(self, error: Exception) -> HttpResponse:
        """Answers in the dialect of the path's clients."""
        call: Call = self.request.call
        return refused(refusal_of(error), self.surface, call)


def refused(refusal: Refusal, surface: Surface, call: Call) -> HttpResponse:
    """Answers a refusal in a client's dialect."""
    return HttpResponse(
        surface.error(refusal, call.request_id),
        status=refusal.status_code,
        content_type="application/json",
        headers=dict(refusal.headers),
    )


def first_byte_timed_out() -> Refusal:
    """Returns what a client hears when Ollama did not begin to answer."""
    return UpstreamTimeout("UPSTREAM_FIRST_BYTE_TIMEOUT", running.first_byte_timeout)


def view_of(rows: list[Route]) -> type[RelayView]:
    """Makes the view class of one path from its rows."""
    name = "".join(part.title() for part in re.findall(r"\w+", rows[0].path)) + "View"
    handlers = {row.method.lower(): RelayView.relay for row in rows}
    return type(
        name,
        (RelayView,),
        {
            "__doc__": f"Relays {rows[0].path}.",
            "routes": {row.method: row for row in rows},
            "surface": rows[0].surface,
            **handlers,
        },
    )
