"""Passes a model's file on to Ollama as it comes: it may be larger than any memory."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from django.http import HttpResponse

from proxy.answer import EMPTY, without_content
from proxy.body import ClientGone
from proxy.exceptions import BodyTimeout, BodyTooLarge, EncodedBody
from proxy.running import running
from proxy.serving.asking import ask_whole
from proxy.serving.plain import upstream_path
from proxy.upstream import Upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.request import LaneRequest
    from proxy.call import Call
    from proxy.routes import Route


async def upload(call: Call, route: Route, request: LaneRequest) -> HttpResponse:
    """Serves `POST /api/blobs/{digest}`; Ollama checks the digest."""
    if coding := request.META.get("HTTP_CONTENT_ENCODING", "").removeprefix("identity"):
        raise EncodedBody(coding, "identity")
    size = request.META.get("CONTENT_LENGTH", "")
    body = Upload(parts(call, request), int(size) if size.isdigit() else None)
    content = await ask_whole(call, "POST", upstream_path(route, request.argument), body)
    if call.answered in EMPTY:
        return without_content(call.answered)
    return HttpResponse(content, content_type="text/plain", status=call.answered)


async def parts(call: Call, request: LaneRequest) -> AsyncIterator[bytes]:
    """Yields the request's body as it comes."""
    # A model may be larger than any other body, unless the key has a limit of its own.
    limit = call.principal.body_limit if call.principal is not None else None
    while True:
        call.wait_until(monotonic() + running.bodies.pause, BodyTimeout)
        message = await request.receive()
        if message["type"] == "http.disconnect":
            # The HTTP client, which runs this in a task of its own, would take either for Ollama's failure.
            call.leave()
            raise ClientGone
        if message.get("body"):
            call.outcome.received_bytes += len(message["body"])
            if limit is not None and call.outcome.received_bytes > limit:
                call.cut(BodyTooLarge(limit))
                raise ClientGone
            yield message["body"]
        if not message.get("more_body", False):
            call.wait_until(monotonic() + running.first_byte_timeout, BodyTimeout)
            request.is_read = True
            call.watch(request)
            return
