"""Requests with a JSON body: read, decided upon, sent on; the answer relayed whole or as a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpResponse

from proxy.body import read_body
from proxy.call import Facts
from proxy.catalogue import catalogue
from proxy.dialects.renamed import renamer
from proxy.policy import decide, read
from proxy.relay import EventStream, Relay
from proxy.running import running
from proxy.serving.asking import ask, ask_whole
from proxy.serving.unload import unloaded

if TYPE_CHECKING:
    from django.http.response import HttpResponseBase

    from gateway.request import LaneRequest
    from proxy.call import Call
    from proxy.policy import Ask
    from proxy.routes import Route

# Says in an answer what the gateway changed in the request.
CHANGED = "X-Gateway-Changed"


async def relay(call: Call, route: Route, request: LaneRequest) -> HttpResponseBase:
    """Serves one request whose body names a model."""
    asked = await decided(call, route, request)
    facts = call.facts = Facts(
        model=asked.model or asked.target,
        target=asked.target,
        canonical=asked.canonical,
        streamed=asked.streamed,
        hide_usage=asked.hide_usage,
        prompt_estimate=asked.prompt_estimate,
    )
    if asked.unload:
        response: HttpResponseBase = unloaded(call, route, facts)
    elif asked.streamed:
        answer = await ask(call, route.method, route.upstream, asked.body())
        response = EventStream(Relay(call, route, facts, answer, running.idle), route.format.media_type)
    else:
        response = single(call, route, facts, await ask_whole(call, route.method, route.upstream, asked.body()))
    if asked.changed:
        response.headers[CHANGED] = ", ".join(asked.changed)
    if route.scope == "manage":
        catalogue.forget()
    return response


async def decided(call: Call, route: Route, request: LaneRequest) -> Ask:
    """Reads a request's body and decides on it."""
    raw = await read_body(call, request.META, request.receive, running.buffer, running.body_limit, running.body_pause)
    call.watch(request.receive)
    policy = running.policy
    payload = read(route.shape, raw)
    if route.default_model and not payload.get("model"):
        payload["model"] = policy.default_model
    remote = () if policy.allow_cloud else await catalogue.fresh(running.upstream)
    return decide(route.shape, payload, request.user, policy, remote)


def single(call: Call, route: Route, facts: Facts, body: bytes) -> HttpResponse:
    """Passes on an answer that came whole."""
    call.outcome.usage = route.format.usage(body)
    body = route.format.mend(body)
    if facts.renamed:
        body = renamer(facts.target, facts.model)(body)
    return HttpResponse(body, content_type="application/json" if body else "text/plain")
