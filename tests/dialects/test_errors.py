"""Every family of Ollama's errors, in every dialect: before the first byte as a status, after it as the last event."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.dialects.front import (
    BODIES,
    MANAGE_BODIES,
    STREAMED,
    SURFACES,
    House,
    error_of,
    errors_in,
    last_words,
    saying,
    upstream_path,
)

INFERENCE = [path for path in BODIES if path != "/api/show"]
BUSY = "server busy, please try again.  maximum pending requests exceeded"
CRASHED = "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error"
TOO_LONG = "the prompt is longer than the context window of this model"
RUNNER = "request (9000 tokens) exceeds the available context size (4096 tokens)"
# The kind of each status in the dialects that have one.
KINDS = {
    "gateway": {
        400: "bad_request",
        404: "model_not_found",
        429: "rate_limited",
        499: "error",
        500: "internal_error",
        501: "error",
        502: "upstream_refused",
        503: "unavailable",
    },
    "openai": {
        400: "invalid_request_error",
        404: "not_found_error",
        429: "rate_limit_error",
        499: "invalid_request_error",
        500: "api_error",
        501: "api_error",
        502: "api_error",
        503: "api_error",
    },
    "anthropic": {
        400: "invalid_request_error",
        404: "not_found_error",
        429: "rate_limit_error",
        499: "invalid_request_error",
        500: "api_error",
        501: "api_error",
        502: "api_error",
        503: "overloaded_error",
    },
}

# Knobs of the stub: status and words that reach the client, and whether it should try again.
# What only the operator can mend; the reason is in the log.
UNAVAILABLE = "The model server is unavailable."
BEFORE: dict[str, tuple[int, str, bool]] = {
    "status=400": (400, "invalid request", False),
    "status=400 plain=1": (400, "invalid request", False),
    "context=1": (400, TOO_LONG, False),
    "context=2": (400, RUNNER, False),
    "status=401": (502, UNAVAILABLE, False),
    "status=401 empty=1": (502, UNAVAILABLE, False),
    "status=403": (502, "ollama cloud is disabled: remote model is unavailable", False),
    "status=403 empty=1": (502, UNAVAILABLE, False),
    "status=404": (404, "model 'missing' not found", False),
    "status=404 plain=1 empty=1": (502, UNAVAILABLE, False),
    "status=429": (429, "too many requests", True),
    "status=499": (499, "request canceled", False),
    "status=500": (500, CRASHED, True),
    "status=500 plain=1": (500, CRASHED, True),
    "status=500 empty=1": (500, "Ollama failed with status 500", True),
    "status=501": (501, "something else", False),
    "status=503": (503, BUSY, True),
    "status=301": (502, UNAVAILABLE, False),
    "status=307": (502, UNAVAILABLE, False),
}


def check_refusal(path: str, answer: Any, status: int, words: str, *, again: bool) -> None:
    """Fails unless an answer is this error, to its exact shape, and says whether to try again."""
    assert answer.status == status, answer
    kind, text = error_of(path, answer)
    assert words in text
    assert not text.startswith("{")
    assert kind == KINDS.get(SURFACES[path], {}).get(status, kind)
    assert answer.headers.get("x-should-retry") == (None if again else "false")
    assert ("retry-after" in answer.headers) is (status in (429, 503))
    assert answer.headers["x-request-id"]
    if SURFACES[path] == "anthropic":
        assert json.loads(answer.body)["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("path", INFERENCE)
@pytest.mark.parametrize("knobs", BEFORE)
def test_an_error_before_the_first_byte_is_a_status(house: House, path: str, knobs: str) -> None:
    status, words, again = BEFORE[knobs]
    house.stub.behave(upstream_path(path), knobs)
    for stream in (True, False) if path in STREAMED else (None,):
        body = {**BODIES[path], **({} if stream is None else {"stream": stream})}
        check_refusal(path, house.ask(path, body), status, words, again=again)


@pytest.mark.parametrize("path", [*BODIES, *MANAGE_BODIES])
def test_a_model_that_ollama_does_not_have(house: House, path: str) -> None:
    body = {**BODIES, **MANAGE_BODIES}[path]
    fields = {name: "missing" for name in ("model", "source") if name in body} | {"stream": False}
    if "from" in body:
        return  # it makes one
    method = "DELETE" if path == "/api/delete" else "POST"
    answer = house.ask(path, {**body, **fields}, method=method, who="manager")
    status = 500 if path == "/api/pull" else 200 if path == "/api/delete" and answer.status == 200 else 404
    assert answer.status == status
    kind, text = error_of(path, answer)
    assert "missing" in text or path == "/api/pull"
    assert kind == KINDS.get(SURFACES[path], {}).get(404, kind)


MODEL_ABILITY = {
    "/api/chat": ({"model": "stub-embed"}, '"stub-embed" does not support chat'),
    "/api/generate": ({"model": "stub-embed"}, '"stub-embed" does not support generate'),
    "/v1/completions": ({"model": "stub-embed"}, '"stub-embed" does not support generate'),
    "/v1/chat/completions": ({"reasoning_effort": "high"}, '"stub" does not support thinking'),
    "/v1/messages": ({"model": "stub-embed"}, '"stub-embed" does not support chat'),
    "/v1/responses": ({"model": "stub-embed"}, '"stub-embed" does not support chat'),
}


@pytest.mark.parametrize("path", MODEL_ABILITY)
def test_what_a_model_can_not_do(house: House, path: str) -> None:
    fields, words = MODEL_ABILITY[path]
    check_refusal(path, house.ask(path, {**BODIES[path], **fields}), 400, words, again=False)


def test_an_option_of_a_wrong_type(house: House) -> None:
    for path in ("/api/generate", "/api/v1/chat"):
        answer = house.ask(path, {**BODIES[path], "options": {"temperature": "hot"}})
        check_refusal(path, answer, 500, 'option "temperature" must be of type float32', again=True)


# The gateway's own


OPENAI_TYPES = (
    "invalid_request_error",
    "authentication_error",
    "not_found_error",
    "permission_error",
    "invalid_request_error",
)


@pytest.mark.parametrize("path", BODIES)
def test_the_gateways_own_refusals_have_the_same_shapes(house: House, path: str) -> None:
    types = {
        "gateway": ("bad_request", "unauthorized", "model_not_found", "cloud_refused", "unsupported_media_type"),
        "openai": OPENAI_TYPES,
        "anthropic": OPENAI_TYPES,  # which has the same names for these
        "ollama": ("",) * 5,
    }[SURFACES[path]]
    cases = [
        (400, house.ask(path, b"{")),
        (401, house.ask(path, BODIES[path], who="nobody")),
        (404, house.ask(path, {**BODIES[path], "model": "secret"}, who="stubs")),
        (403, house.ask(path, {**BODIES[path], "model": "stub:cloud"})),
        (415, house.ask(path, BODIES[path], headers={"Content_Encoding": "compress"})),
    ]
    for (status, answer), kind in zip(cases, types, strict=True):
        assert answer.status == status
        found, text = error_of(path, answer)
        assert found == kind
        assert text
        assert answer.headers["x-should-retry"] == "false"
    assert "signin_url" not in str(cases)
    assert house.reached() == []


@pytest.mark.parametrize(
    ("path", "surface"),
    [
        ("/api/nothing", "ollama"),
        ("/v1/nothing", "openai"),
        ("/v1/messages/nothing", "anthropic"),
        ("/api/v1/nothing", "gateway"),
        ("/nothing", "gateway"),
    ],
)
def test_a_path_that_is_not_there_speaks_its_prefix(house: House, path: str, surface: str) -> None:
    for method, who in (("GET", "user"), ("POST", "nobody")):
        answer = house.ask(path, method=method, who=who)
        assert answer.status == 404
        errors_in(surface, answer.json())


def test_a_client_that_names_an_anthropic_version_hears_anthropics_errors(house: House) -> None:
    answer = house.ask("/v1/models/missing", method="GET", headers={"anthropic_version": "2023-06-01"})
    assert answer.status == 404
    assert errors_in("anthropic", answer.json())[0] == "not_found_error"


# In mid-stream

AFTER: dict[str, str] = {
    "error_after": "an error was encountered while running the model: unexpected EOF",
    "eof_after": "broke off",
    "die_after": "broke off",
    "reset_after": "broke off",
}
# Where Ollama's own words are lost on the way.
MUTE = tuple(path for path in STREAMED if "v1/" in path and path not in ("/api/v1/generate", "/api/v1/chat"))
TERMINAL = (b'"done":true', b"[DONE]", b"event: message_stop", b"event: response.completed", b'"finish_reason":"')


@pytest.mark.parametrize("path", STREAMED)
@pytest.mark.parametrize("fault", AFTER)
@pytest.mark.parametrize("after", [1, 4])
def test_an_error_in_mid_stream_is_its_last_event(house: House, path: str, fault: str, after: int) -> None:
    text = f"[[chunks=9 {fault}={after:02d}]]"
    answer = house.ask(path, saying(path, text, stream=True))
    assert answer.status == 200
    kind, words = last_words(path, answer.body)
    assert (AFTER[fault] if path not in MUTE else "broke off") in words
    assert kind in ("", "upstream_failed", "api_error")
    assert not any(mark in answer.body for mark in TERMINAL)
    assert b'"model":""' not in answer.body
    line = house.line(answer)
    assert (line["ended"], line["status"]) == ("failed", 200)
    assert line["estimated"] is True
    # What had come before it has passed.
    sound = house.stream(path, saying(path, f"[[chunks=9 {fault}=99]]", stream=True))
    separator = b"\n" if SURFACES[path] == "ollama" else b"\n\n"
    frames = without_ids(answer.body).split(separator)[:-2]
    assert len(frames) >= after
    assert without_ids(sound).split(separator)[: len(frames)] == frames


def without_ids(stream: bytes) -> bytes:
    """A stream without its ids, which the stub makes of the prompt."""
    return re.sub(rb"(chatcmpl-|cmpl-|resp_|msg_)[0-9a-f]+", rb"\1", stream)


@pytest.mark.parametrize("path", STREAMED)
def test_an_answer_without_its_first_chunk_is_an_error(house: House, path: str) -> None:
    for fault in ("eof_after=0", "die_after=0", "error_after=0"):
        answer = house.ask(path, saying(path, f"[[chunks=3 {fault}]]", stream=True))
        if answer.status == 200:
            last_words(path, answer.body)
            assert not any(mark in answer.body for mark in TERMINAL)
        else:
            assert answer.status in (500, 502)
            error_of(path, answer)


@pytest.mark.parametrize("path", INFERENCE)
@pytest.mark.parametrize(
    "fault", ["die_after=0", "reset_after=0", "die_after=1", "malformed=length", "malformed=status"]
)
def test_an_answer_in_one_piece_that_breaks_off_is_a_502(house: House, path: str, fault: str) -> None:
    house.stub.behave(upstream_path(path), fault)
    answer = house.ask(path, {**BODIES[path], **({"stream": False} if path in STREAMED else {})})
    assert answer.status == 502
    kind, text = error_of(path, answer)
    assert "broke off" in text
    assert kind in ("", "upstream_failed", "api_error")
    assert "x-should-retry" not in answer.headers


def test_a_pull_that_fails_says_so_in_its_last_line(house: House) -> None:
    body = house.stream("/api/pull", {"model": "missing"}, who="manager")
    assert body.splitlines()[0] == b'{"status":"pulling manifest"}'
    assert last_words("/api/pull", body) == ("", "pull model manifest: file does not exist")
    assert b"success" not in body


def test_a_pull_ends_in_success(house: House) -> None:
    for path in ("/api/pull", "/api/push", "/api/create"):
        body = house.stream(path, MANAGE_BODIES[path], who="manager")
        assert body.splitlines()[-1] == b'{"status":"success"}'
