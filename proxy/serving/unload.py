"""Answers a request to unload a model as Ollama would, without unloading it for everybody."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
from django.http import HttpResponse

from proxy.call import DONE, Usage

if TYPE_CHECKING:
    from proxy.call import Call, Facts
    from proxy.routes import Route


def unloaded(call: Call, route: Route, facts: Facts) -> HttpResponse:
    """Returns the one object that Ollama answers with, streamed or not (`done_reason` is `unload`)."""
    content: dict[str, Any] = {"response": ""}
    if route.shape.load == "messages":
        content = {"message": {"role": "assistant", "content": ""}}
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    answer = {"model": facts.model, "created_at": now, **content, "done": True, "done_reason": "unload"}
    call.outcome.ended = DONE
    call.outcome.usage = Usage(0, 0)
    body = orjson.dumps(answer)
    if facts.streamed and route.format.media_type == "text/event-stream":
        return HttpResponse(b"data: " + body + b"\n\n", content_type="text/event-stream")
    return HttpResponse(body, content_type="application/json")
