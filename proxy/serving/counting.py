"""Estimates how many tokens a prompt has; Ollama has no way to ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from django.http import HttpResponse

from proxy.call import DONE, Usage
from proxy.serving.answers import decided, say_changed

if TYPE_CHECKING:
    from gateway.request import LaneRequest
    from proxy.call import Call
    from proxy.routes import Route


async def count(call: Call, route: Route, request: LaneRequest) -> HttpResponse:
    """Answers `POST /v1/messages/count_tokens` with an estimate, and says that it is one."""
    asked = await decided(call, route, request)
    call.outcome.ended = DONE
    call.outcome.usage = Usage(0, 0)
    answer = {"input_tokens": asked.prompt_estimate, "estimated": True}
    response = HttpResponse(orjson.dumps(answer), content_type="application/json")
    say_changed(response, asked)
    return response
