"""Requests with a JSON body: read, decided upon, sent on; the answer relayed whole or as a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpResponse

from proxy.answer import EMPTY, WholeAnswer, without_content
from proxy.call import DONE, Facts, Usage
from proxy.catalogue import catalogue
from proxy.dialects.renamed import renamer
from proxy.exceptions import UpstreamBroke
from proxy.patience import PatientRelay, Waiting
from proxy.policy import decide, read
from proxy.relay import EventStream, Relay, whole
from proxy.running import running
from proxy.serving.asking import ask, ask_whole
from proxy.serving.fitting import WARNING, fit, needs_window, note_use
from proxy.serving.unload import unloaded

if TYPE_CHECKING:
    from django.http.response import HttpResponseBase

    from gateway.request import LaneRequest
    from proxy.call import Call
    from proxy.policy import Ask
    from proxy.routes import Route

# Says in an answer what the gateway changed in the request.
CHANGED = "X-Gateway-Changed"
NOT_UNLOADED = "unload not done: the model stays loaded for others"
# Says in an answer what its client should know of it.
WARNED = "X-Gateway-Warning"


async def relay(call: Call, route: Route, request: LaneRequest) -> HttpResponseBase:
    """Serves one request whose body names a model."""
    asked = await decided(call, route, request)
    facts, principal = facts_of(asked), call.principal
    call.facts = facts
    if route.scope == "manage":
        call.holds += (catalogue, running.metadata, running.windows)
    elif principal is not None:
        if needs_window(asked, principal):
            await fit(route, asked, principal)
            if asked.warning is not None:
                facts = call.facts = facts._replace(warning=WARNING)
        note_use(asked)
    if asked.unload:
        response: HttpResponseBase = unloaded(call, route, facts)
        asked.changed.append(NOT_UNLOADED)
        say_changed(response, asked)
        return response
    admitted = running.door.admit(call, route, asked)
    if admitted is not None:
        await admitted
    body = asked.body()
    await running.turns.take(call)
    if asked.streamed:
        response = await begun(call, await stream(call, route, facts, body), route.format.media_type)
    else:
        content = await ask_whole(call, route.method, route.upstream, body)
        if route.scope == "manage":
            running.metadata.forget()  # before its client can ask again
            running.windows.forget()
        response = single(call, route, facts, content)
    say_changed(response, asked)
    return response


def facts_of(asked: Ask) -> Facts:
    """Returns what a call keeps of its request."""
    return Facts(
        model=asked.model or asked.target,
        target=asked.target,
        canonical=asked.canonical,
        streamed=asked.streamed,
        hide_usage=asked.hide_usage,
        prompt_estimate=asked.prompt_estimate,
    )


def say_changed(response: HttpResponseBase, asked: Ask) -> None:
    """Says in an answer what was changed in its request, and what its client should know, if anything."""
    if asked.changed:
        response.headers[CHANGED] = ", ".join(asked.changed)
    if asked.warning is not None:
        response.headers[WARNED] = str(asked.warning)


async def decided(call: Call, route: Route, request: LaneRequest) -> Ask:
    """Reads a request's body and decides on it."""
    raw = await running.bodies.read(call, request)
    call.watch(request)
    policy = running.policy
    payload = read(route.shape, raw)
    if route.default_model and not payload.get("model"):
        payload["model"] = policy.default_model
    remote = () if policy.allow_cloud else await catalogue.fresh(running.upstream)
    # What holds now: the key may have been changed while the body came.
    return decide(route.shape, payload, call.principal or request.user, policy, remote)


async def stream(call: Call, route: Route, facts: Facts, body: bytes) -> Relay:
    """Asks Ollama for a stream; returns when it begins, or when it is time for a sign of life."""
    asking = ask(call, route.method, route.upstream, body)
    if not running.heartbeat or route.format.media_type != "text/event-stream":
        return Relay(call, route, facts, await asking, running.idle)
    waiting = Waiting(call, asking)
    if await waiting.within(running.heartbeat):
        return Relay(call, route, facts, waiting.task.result(), running.idle)
    return PatientRelay(call, route, facts, waiting, running.idle, seconds=running.heartbeat)


async def begun(call: Call, relay: Relay, media_type: str) -> HttpResponseBase:
    """Returns the response of a stream, or of what Ollama answers without content in its place."""
    if relay.answer is not None and call.answered in EMPTY:
        await whole(relay.answer, call, running.idle)
        call.outcome.ended = DONE
        call.settle()
        return without_content(call.answered)
    response = EventStream(relay, media_type)
    response.status_code = call.answered
    return response


def single(call: Call, route: Route, facts: Facts, body: bytes) -> HttpResponse:
    """Passes on an answer that came whole; raises UpstreamBroke for one that is not, as a JSON object shows."""
    if body and not (body.lstrip().startswith(b"{") and body.rstrip().endswith(b"}")):
        raise UpstreamBroke
    if call.answered in EMPTY:
        call.outcome.usage = Usage(facts.prompt_estimate, 0, estimated=True)
        call.settle()
        return without_content(call.answered)
    call.outcome.usage = route.format.usage(body)
    call.settle()
    body = route.format.mend(body)
    if facts.renamed:
        body = renamer(facts.target, facts.model)(body)
    return WholeAnswer(body, "application/json" if body else "text/plain", call.answered)
