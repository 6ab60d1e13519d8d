"""How the kinds of routes are served, one module each; a row of proxy/routes.py names its kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.serving.answers import relay
from proxy.serving.counting import count
from proxy.serving.listing import list_models, list_running, list_tags, one_model
from proxy.serving.plain import plain
from proxy.serving.show import show
from proxy.serving.status import cloud_status
from proxy.serving.transcribing import transcribe
from proxy.serving.upload import upload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from django.http.response import HttpResponseBase

    from gateway.request import LaneRequest
    from proxy.call import Call
    from proxy.routes import Kind, Route

    Serve = Callable[[Call, Route, LaneRequest], Awaitable[HttpResponseBase]]

SERVE: dict[Kind, Serve] = {
    "relay": relay,
    "plain": plain,
    "tags": list_tags,
    "running": list_running,
    "models": list_models,
    "model": one_model,
    "count": count,
    "show": show,
    "status": cloud_status,
    "upload": upload,
    "transcribe": transcribe,
}
