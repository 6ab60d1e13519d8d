"""Recordings that become text: a form with a file, written again for Ollama, and the answer passed on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from proxy.answer import EMPTY, WholeAnswer, without_content
from proxy.body import coding_of
from proxy.call import Usage
from proxy.catalogue import catalogue
from proxy.dialects.base import parsed
from proxy.dialects.renamed import renamer
from proxy.estimate import tokens_of_recording
from proxy.exceptions import BadBody, UpstreamBroke
from proxy.forms import OUR_TYPE, boundary_of, read_form, written
from proxy.policy import decide
from proxy.running import running
from proxy.serving.answers import facts_of, say_changed
from proxy.serving.asking import ask_whole
from proxy.serving.fitting import note_use
from proxy.upstream import Upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from django.http import HttpResponse

    from gateway.request import LaneRequest
    from proxy.call import Call, Facts
    from proxy.forms import Form, FormFile
    from proxy.policy import Ask
    from proxy.routes import Route
    from proxy.shapes import Shape

FILE = "file"
# Ollama writes plain text for the first, and JSON for all others.
TEXT = "text"
FORMATS = (TEXT, "json", "verbose_json", "srt", "vtt", "diarized_json")
SUBTITLES = ("srt", "vtt")
BOOLEANS = {"true": True, "1": True, "false": False, "0": False, "": False}
NO_STREAMS = "Ollama does not stream transcriptions: leave 'stream' out."
# The most output that is reserved for: speech has fewer tokens than its recording, unless that is tightly compressed.
OUTPUT_A_TOKEN = 2
LEAST_OUTPUT = 256


async def transcribe(call: Call, route: Route, request: LaneRequest) -> HttpResponse:
    """Serves `POST /v1/audio/transcriptions`."""
    asked, file = await decided(call, route, request)
    facts = call.facts = facts_of(asked)
    note_use(asked)
    admitted = running.door.admit(call, route, asked)
    if admitted is not None:
        await admitted
    form_of = str(asked.payload.get("response_format") or "json")
    pieces = written(fields_of(asked.payload), file)
    await running.turns.take(call)
    body = Upload(sent(pieces), sum(map(len, pieces)), OUR_TYPE)
    content = await ask_whole(call, route.method, route.upstream, body)
    response = answered(call, route, facts, content, form_of)
    say_changed(response, asked)
    return response


async def decided(call: Call, route: Route, request: LaneRequest) -> tuple[Ask, FormFile]:
    """Reads a form and decides on it; returns what is asked, and the recording."""
    coding_of(request)
    boundary = boundary_of(request.META.get("CONTENT_TYPE", ""))
    raw = await running.bodies.read(call, request)
    call.watch(request)
    call.wait_no_more()  # a turn in the thread that parses is no pause of the client's
    form = await read_form(raw, boundary)
    del raw
    payload, file = payload_of(form, route.shape), file_of(form)
    route.shape.check(payload)
    policy = running.policy
    remote = () if policy.allow_cloud else await catalogue.fresh(running.upstream)
    asked = decide(route.shape, payload, call.principal or request.user, policy, remote)
    recording = tokens_of_recording(file.size)
    asked.prompt_estimate += recording
    asked.cap = max(LEAST_OUTPUT, OUTPUT_A_TOKEN * recording)
    return asked, file


def payload_of(form: Form, shape: Shape) -> dict[str, Any]:
    """Returns the fields of a form by their names; raises BadBody for one that is unknown, twice there or not valid."""
    payload: dict[str, Any] = {}
    for file in form.files:
        if file.field != FILE:
            raise BadBody(f"{file.field[:40]!r} must not be a file: only 'file' is.")
    for name, value in form.fields:
        kinds = shape.types.get(name)
        if name == FILE:
            raise BadBody("'file' must be a file: send it with a file name.")
        if kinds is None:
            raise BadBody(f"{name[:40]!r} is an unknown field: send {', '.join((FILE, *shape.types))}.")
        if list in kinds:
            payload.setdefault(name, []).append(value)
        elif name in payload:
            raise BadBody(f"{name!r} stands twice: send it once.")
        else:
            payload[name] = read_value(name, value, kinds[0])
    check_values(payload)
    return payload


def check_values(payload: dict[str, Any]) -> None:
    """Raises BadBody where a field is missing, or has a value that can't be served; takes `stream` out."""
    if not payload.get("model"):
        raise BadBody("'model' is missing: the request needs it.")
    if payload.pop("stream", False):
        raise BadBody(NO_STREAMS)
    if (payload.get("response_format") or "json") not in FORMATS:
        raise BadBody(f"'response_format' must be one of {', '.join(FORMATS)}.")


def read_value(name: str, value: str, kind: type) -> object:
    """Reads the text of a field as a value of its type; raises BadBody."""
    if kind is bool:
        if value.lower() not in BOOLEANS:
            raise BadBody(f"{name!r} must be true or false.")
        return BOOLEANS[value.lower()]
    if kind is float:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise BadBody(f"{name!r} must be a number.")
        return number
    return value


def file_of(form: Form) -> FormFile:
    """Returns the recording; raises BadBody unless there is exactly one."""
    if not form.files:
        raise BadBody("'file' is missing: the request needs a recording.")
    if len(form.files) > 1:
        raise BadBody("'file' stands twice: send one recording.")
    if not form.files[0].size:
        raise BadBody("'file' is empty: send a recording.")
    return form.files[0]


def fields_of(payload: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns the fields to send, of which a list has one for each of its values."""
    return [
        (name, str(each)) for name, value in payload.items() for each in (value if isinstance(value, list) else [value])
    ]


async def sent(pieces: list[bytes]) -> AsyncIterator[bytes]:
    """Yields a form's pieces."""
    for piece in pieces:
        yield piece


def answered(call: Call, route: Route, facts: Facts, content: bytes, form_of: str) -> HttpResponse:
    """Passes on an answer; raises UpstreamBroke for one that is not whole.

    Ollama answers 200 before it begins, and then nothing if it fails: only of silence as plain text that is an answer.
    """
    if call.answered in EMPTY:
        call.outcome.usage = Usage(facts.prompt_estimate, 0, estimated=True)
        call.settle()
        return without_content(call.answered)
    is_text = form_of == TEXT or (form_of in SUBTITLES and bool(content) and not content.startswith(b"{"))
    if not is_text and "text" not in parsed(content):
        raise UpstreamBroke
    call.outcome.usage = route.format.usage(b"" if is_text else content)
    call.settle()
    if facts.renamed and not is_text:
        content = renamer(facts.target, facts.model)(content)
    return WholeAnswer(content, "text/plain; charset=utf-8" if is_text else "application/json", call.answered)
