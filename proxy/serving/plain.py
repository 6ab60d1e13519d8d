"""Serves what needs no decision: an answer that is the same for everybody who may ask."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from django.http import HttpResponse

from proxy.answer import WholeAnswer
from proxy.exceptions import NoRoute
from proxy.serving.asking import ask_whole

if TYPE_CHECKING:
    from gateway.request import LaneRequest
    from proxy.call import Call
    from proxy.routes import Route

DIGEST = re.compile(r"sha256[:-][0-9a-f]{64}")


async def plain(call: Call, route: Route, request: LaneRequest) -> HttpResponse:
    """Passes Ollama's answer on."""
    call.watch(request)
    body = await ask_whole(call, route.method, upstream_path(route, request.argument))
    return WholeAnswer(body, "application/json" if body else "text/plain")


def upstream_path(route: Route, argument: str) -> str:
    """Returns Ollama's path of a request; of what a client says, only a digest ever becomes part of it."""
    if "{digest}" not in route.upstream:
        return route.upstream
    if not DIGEST.fullmatch(argument):
        raise NoRoute
    return route.upstream.replace("{digest}", argument)
