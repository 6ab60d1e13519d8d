"""Serves what needs no decision: an answer that is the same for everybody who may ask."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from django.http import HttpResponse

from proxy.answer import EMPTY, WholeAnswer, without_content
from proxy.exceptions import NoRoute
from proxy.metadata import Question
from proxy.serving.asking import ask_metadata, ask_whole

if TYPE_CHECKING:
    from gateway.request import LaneRequest
    from proxy.call import Call
    from proxy.routes import Route

DIGEST = re.compile(r"sha256[:-][0-9a-f]{64}")


async def plain(call: Call, route: Route, request: LaneRequest) -> HttpResponse:
    """Passes Ollama's answer on."""
    call.watch(request)
    question = Question(route.method, upstream_path(route, request.argument))
    body = await (ask_metadata(call, question) if route.method == "GET" else ask_whole(call, *question[:2]))
    if call.answered in EMPTY:
        return without_content(call.answered)
    return WholeAnswer(body, "application/json" if body else "text/plain", call.answered)


def upstream_path(route: Route, argument: str) -> str:
    """Returns Ollama's path of a request; of what a client says, only a digest ever becomes part of it."""
    if "{digest}" not in route.upstream:
        return route.upstream
    if not DIGEST.fullmatch(argument):
        raise NoRoute
    return route.upstream.replace("{digest}", argument)
