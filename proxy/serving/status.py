"""Answers whether cloud models are on: from the gateway's own setting, which holds whatever Ollama's says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from django.http import HttpResponse

from proxy.call import DONE
from proxy.running import running

if TYPE_CHECKING:
    from gateway.request import LaneRequest
    from proxy.call import Call
    from proxy.routes import Route


async def cloud_status(call: Call, route: Route, request: LaneRequest) -> HttpResponse:  # noqa: ARG001 -- as its siblings
    """Serves `GET /api/status` in Ollama's shape."""
    is_on = running.policy.allow_cloud
    call.outcome.ended = DONE
    answer = {"cloud": {"disabled": not is_on, "source": "none" if is_on else "config"}}
    return HttpResponse(orjson.dumps(answer), content_type="application/json")
