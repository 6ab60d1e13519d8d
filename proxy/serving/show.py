"""Describes a model: `POST /api/show`, which costs no request of a limit, no turn and no record.

Pickers of models ask it once for every model there is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.answer import WholeAnswer
from proxy.call import Usage
from proxy.metadata import Question
from proxy.running import running
from proxy.serving.answers import decided, facts_of, say_changed
from proxy.serving.asking import ask_metadata

if TYPE_CHECKING:
    from django.http import HttpResponse

    from gateway.request import LaneRequest
    from proxy.call import Call
    from proxy.routes import Route

# How long an answer counts, in seconds; what changes models through this gateway ends it at once.
FRESH = 5.0
# What an answer depends on; only a key with the scope `manage` tries out other texts and options.
PLAIN, TRIED_OUT = ("model", "verbose"), ("system", "template", "options")


async def show(call: Call, route: Route, request: LaneRequest) -> HttpResponse:
    """Serves one description, kept for a while, to a key that may use the model."""
    asked = await decided(call, route, request)
    call.facts = facts_of(asked)
    asked.payload = {name: value for name in PLAIN + TRIED_OUT if (value := asked.payload.get(name))}
    is_plain = asked.payload.keys() <= set(PLAIN)
    question = Question(route.method, route.upstream, asked.body())
    if running.metadata.known(question) is None and call.principal is not None:
        running.read_rate.take(call.principal.key_id)
    body = await ask_metadata(call, question, FRESH if is_plain else 0.0)
    call.outcome.usage = Usage(0, 0)
    response = WholeAnswer(body)
    say_changed(response, asked)
    return response
