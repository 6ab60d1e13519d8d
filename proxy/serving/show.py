"""Describes a model: `POST /api/show`, which costs no request of a limit, no turn and no record.

Pickers of models ask it once for every model there is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from proxy.answer import WholeAnswer
from proxy.call import Usage
from proxy.context_window import OPTION, Windows
from proxy.dialects.base import object_of, parsed
from proxy.metadata import Question
from proxy.running import running
from proxy.serving.answers import decided, facts_of, say_changed
from proxy.serving.asking import ask_metadata
from proxy.serving.fitting import rule_of
from proxy.window_table import EXACT, context_field, is_window, own_windows, parameter_in

if TYPE_CHECKING:
    from django.http import HttpResponse

    from apikeys.principal import Principal
    from gateway.context_window import WindowRule
    from gateway.request import LaneRequest
    from proxy.call import Call
    from proxy.names import ModelName
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
    if asked.name is not None and not asked.name.cloud and call.principal is not None:
        body = await with_window(body, asked.name, asked.canonical, call.principal)
    response = WholeAnswer(body)
    say_changed(response, asked)
    return response


async def with_window(body: bytes, name: ModelName, canonical: str, principal: Principal) -> bytes:
    """Returns a description with the context window that a key gets; byte for byte where that is what it says.

    Clients send `model_info`'s length as num_ctx, or fill it with a prompt.
    """
    rule = rule_of(name, principal)
    if rule is None and "manage" in principal.scopes:
        return body
    answer = parsed(body)
    own = own_windows(answer)
    windows = (await running.windows.of(canonical, EXACT))._replace(parameter=own.parameter, trained=own.trained)
    changes = describe(answer, most_of(rule, windows), usual_of(rule, windows), adds=rule is not None)
    return orjson.dumps({**answer, **changes}) if changes else body


def describe(answer: dict[str, Any], most: int | None, usual: int | None, *, adds: bool) -> dict[str, Any]:
    """Returns the fields of a description that say other windows than a key gets: `most`, and `usual` unasked.

    Where there is a rule, a parameter is added if the model has none.
    """
    info, parameters = object_of(answer.get("model_info")), answer.get("parameters")
    field, changes = context_field(info), dict[str, Any]()
    if most is not None and type(info.get(field)) is int and info[field] != most:
        changes["model_info"] = {**info, field: most}
    said, line = parameter_in(parameters), f"{OPTION:<30} {usual}"
    if usual is not None and said != usual and (adds or said is not None):
        lines = [each for each in str(parameters or "").splitlines() if not is_window(each)]
        changes["parameters"] = "\n".join([*lines, line])
    return changes


def most_of(rule: WindowRule | None, windows: Windows) -> int | None:
    """Returns the largest window that a request can get, None where that is not known."""
    if rule is not None:
        return windows.trained if rule.ceiling is None else windows.capped(rule.ceiling)
    return windows.loaded if windows.loaded is not None else windows.default


def usual_of(rule: WindowRule | None, windows: Windows) -> int | None:
    """Returns the window of a request that asks for none, None where that is not known."""
    return windows.usual if rule is None or rule.default is None else windows.capped(rule.default)
