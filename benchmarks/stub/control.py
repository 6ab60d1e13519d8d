"""The stub's own routes, under a path that Ollama doesn't have: what was recorded, and how to behave."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from benchmarks.stub.answer import Whole
from benchmarks.stub.knobs import Knobs
from benchmarks.stub.refusal import Refusal

if TYPE_CHECKING:
    from benchmarks.stub.record import Recorder
    from benchmarks.stub.routes import State

PREFIX = "/_stub/"


def control(method: str, target: str, body: bytes, recorder: Recorder, state: State) -> Whole:
    """Answers a control request; raises Refusal for one that does not exist."""
    word = target.removeprefix(PREFIX)
    if (method, word) == ("GET", "requests"):
        return _json([exchange.as_json() for exchange in recorder.exchanges])
    if (method, word) == ("GET", "connections"):
        return _json([dataclasses.asdict(link) for link in recorder.links])
    if (method, word) == ("GET", "calls"):
        return _json(dict(recorder.calls))
    if (method, word) == ("POST", "reset"):
        recorder.reset()
        state.forget()
        return _json({})
    if (method, word) == ("GET", "loads"):
        return _json({"windows": state.loaded.windows, "loads": state.loaded.loads})
    if (method, word) == ("POST", "load"):
        asked = json.loads(body)
        state.loaded.put(asked["model"], asked["window"])
        return _json({})
    if (method, word) == ("POST", "behave"):
        asked = json.loads(body)
        Knobs.parse(asked["knobs"])
        state.behaviour[asked["path"]] = asked["knobs"]
        return _json({})
    raise Refusal(404, f"the stub has no control {method} {target}")


def _json(value: Any) -> Whole:
    return Whole(json.dumps(value).encode())
