"""Serves the lists of models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpResponse

from proxy import listings
from proxy.answer import WholeAnswer
from proxy.catalogue import catalogue
from proxy.listings import Sight
from proxy.metadata import Question
from proxy.running import running
from proxy.serving.asking import ask_metadata

if TYPE_CHECKING:
    from gateway.request import LaneRequest
    from proxy.call import Call
    from proxy.routes import Route


async def list_tags(call: Call, route: Route, request: LaneRequest) -> HttpResponse:
    """Serves Ollama's list of its models."""
    return json(listings.tags(await listed(call, route, request), await sight(call)))


async def list_running(call: Call, route: Route, request: LaneRequest) -> HttpResponse:
    """Serves Ollama's list of its loaded models."""
    return json(listings.running_models(await listed(call, route, request), await sight(call)))


async def list_models(call: Call, route: Route, request: LaneRequest) -> HttpResponse:
    """Serves the list of models in OpenAI's shape, or Anthropic's."""
    body = listings.models(await listed(call, route, request), await sight(call))
    return json(in_shape(body, request))


async def one_model(call: Call, route: Route, request: LaneRequest) -> HttpResponse:
    """Serves one entry of that list; Ollama itself can't tell names with a slash from a path."""
    body = listings.model(await listed(call, route, request), await sight(call), request.argument)
    return json(in_shape(body, request))


async def listed(call: Call, route: Route, request: LaneRequest) -> bytes:
    """Asks Ollama for the list."""
    call.watch(request)
    return await ask_metadata(call, Question("GET", route.upstream))


async def sight(call: Call) -> Sight:
    """Returns what the caller may see."""
    remote = () if running.policy.allow_cloud else await catalogue.fresh(running.upstream)
    assert call.principal is not None  # noqa: S101 -- the view has authenticated it
    return Sight(call.principal, running.policy, remote)


def in_shape(body: bytes, request: LaneRequest) -> bytes:
    """Returns a list in the shape of the client that asks."""
    return listings.for_anthropic(body) if "anthropic-version" in request.headers else body


def json(body: bytes) -> HttpResponse:
    """Answers with JSON."""
    return WholeAnswer(body)
