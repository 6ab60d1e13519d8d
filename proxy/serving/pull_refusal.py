"""Why a key may not use a route: for a pull of a model that is not there, that it is not there comes first.

`ollama run` pulls what it does not find, so that after a typing error a client would only read of a missing scope.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from gateway.rest import Refusal
from proxy import listings
from proxy.exceptions import PullNeedsScope, ScopeMissing
from proxy.metadata import Question
from proxy.names import readings, same
from proxy.policy import check_length, one_name, read
from proxy.running import running
from proxy.serving.asking import ask_metadata
from proxy.serving.listing import sight

if TYPE_CHECKING:
    from gateway.request import LaneRequest
    from proxy.call import Call
    from proxy.routes import Route

PULL = "/api/pull"
# A body with a model's name has a hundred bytes.
MAX_BYTES = 16 * 2**10
TAGS = Question("GET", "/api/tags")


async def scope_refusal(call: Call, route: Route, request: LaneRequest) -> Refusal:
    """Returns the refusal of a key that lacks the route's scope."""
    missing = ScopeMissing(route.scope)
    size = request.META.get("CONTENT_LENGTH", "")
    if route.path != PULL or "inference" not in request.user.scopes or not size.isdigit() or int(size) > MAX_BYTES:
        return missing
    try:
        payload = read(route.shape, await running.bodies.read(call, request))
        call.watch(request)
        one_name(payload)
        name = payload.get("model")
        check_length(name)
        if not name or not readings(name) or await is_there(call, name):
            return missing
    except Refusal:
        return missing
    return PullNeedsScope(name)


async def is_there(call: Call, name: str) -> bool:
    """Tells whether the key sees a model of that name; raises UpstreamError."""
    running.read_rate.take(call.principal.key_id if call.principal else "")
    shown = orjson.loads(listings.tags(await ask_metadata(call, TAGS), await sight(call)))
    return any(same(name, str(model.get("name"))) for model in shown.get("models") or ())
