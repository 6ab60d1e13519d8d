"""The view behind every route to Ollama: who calls, and may they."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, cast

from django.http import HttpResponse

from apikeys.authentication import APIKeyAuthentication, keyless
from apikeys.permissions import HasAPIKey, permit
from gateway.rest import AsyncAPIView, refusal_of
from proxy.call import FAILED, REFUSED
from proxy.error_reason import note_error
from proxy.exceptions import UpstreamError
from proxy.limitheaders import limit_headers
from proxy.running import running
from proxy.serving import SERVE
from proxy.serving.pull_refusal import scope_refusal
from proxy.surfaces import surface_of
from usage.metrics import metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    from gateway.request import LaneRequest
    from gateway.rest import Refusal
    from proxy.call import Call
    from proxy.limitheaders import Headers
    from proxy.routes import Route


# What may be over when the request is sent again, and what will not be.
PASSING = frozenset({408, 409, 425, 429})
FINAL = frozenset({501, 505})
FINAL_KINDS = frozenset({"upstream_refused", "call_too_long", "insufficient_quota"})


class RelayView(AsyncAPIView):
    """Serves the rows of one path."""

    authentication_classes = (APIKeyAuthentication,)
    permission_classes = (HasAPIKey,)
    path: ClassVar[str]
    routes: ClassVar[Mapping[str, Route]]

    async def authenticate(self, request: HttpRequest) -> None:
        """Finds out who calls; a request without a key may act as the one of its client's network."""
        await super().authenticate(request)
        if request.user is None:
            request.user = keyless(request.META)

    async def relay(self, request: LaneRequest) -> HttpResponseBase:
        """Serves one request of a recognised key."""
        call = request.call
        call.principal = request.user
        route = self.routes[call.method]
        permit(request.user, route.path, route.surface.name, call.client)
        call.dialect = route.surface.name
        if route.scope not in request.user.scopes:
            raise await scope_refusal(call, route, request)
        response = await SERVE[route.kind](call, route, request)
        if route.surface.id_header:
            response.headers[route.surface.id_header] = call.request_id
        if running.shared is not None and call.admission is None:
            await running.look(request.user)
        return response

    def error_response(self, error: Exception) -> HttpResponse:
        """Answers in the dialect of the path's clients."""
        return refused(refusal_of(error), cast("LaneRequest", self.request))


def refused(refusal: Refusal, request: LaneRequest) -> HttpResponse:
    """Answers a refusal in a client's dialect."""
    call: Call = request.call
    call.outcome.ended = FAILED if refusal.is_fault else REFUSED
    note_error(call.outcome, refusal, (call.facts.model, call.facts.target) if call.facts else ())
    (metrics.fail if isinstance(refusal, UpstreamError) else metrics.refuse)(refusal.kind)
    surface = surface_of(call.path, request.META)
    call.dialect = surface.name
    headers = dict(refusal.headers)
    if is_final(refusal):
        headers.setdefault("x-should-retry", "false")
    if surface.id_header:
        headers[surface.id_header] = call.request_id
    return HttpResponse(
        surface.error(refusal, call.request_id),
        status=refusal.status_code,
        content_type="application/json",
        headers=headers,
    )


def limits_said(call: Call) -> Headers:
    """Returns the headers of an answer that say what the limits of its key are, and what is left of them."""
    allowances = running.allowances.of(call.principal) if call.principal is not None else ()
    return limit_headers(running.ledger, allowances, call.dialect) if allowances else []


def is_final(refusal: Refusal) -> bool:
    """Tells whether the same request would fail again; OpenAI's and Anthropic's SDKs repeat any 5xx unless told so."""
    status = refusal.status_code
    return status in FINAL or refusal.kind in FINAL_KINDS or (not refusal.is_fault and status not in PASSING)


def view_of(rows: list[Route]) -> type[RelayView]:
    """Makes the view class of one path from its rows."""
    name = "".join(part.title() for part in re.findall(r"\w+", rows[0].path)) + "View"
    handlers = {row.method.lower(): RelayView.relay for row in rows}
    routes = {row.method: row for row in rows}
    return type(
        name, (RelayView,), {"__doc__": f"Serves {rows[0].path}.", "path": rows[0].path, "routes": routes, **handlers}
    )
