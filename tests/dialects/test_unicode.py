"""Text that is no text to the last byte, and numbers that no machine word holds, at the front door."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from tests.dialects.front import BODIES, House, error_of, saying

MARK = "THE-MARK"
# What clients send, and what Ollama reads: half an emoji as an escape, Latin-1, half a character, the last two bytes.
BROKEN = {
    "half a pair": (b"cut \\ud83d", "cut \ufffd"),
    "latin-1": (b"caf\xe9", "caf\ufffd"),
    "half a character": (b"cut \xf0\x9f\x98", "cut \ufffd\ufffd\ufffd"),
    "a whole pair": (b"\\ud83d\\ude00", "\U0001f600"),
}


def sent(path: str, raw: bytes) -> bytes:
    """A body for a path in which the text is these bytes."""
    return json.dumps(saying(path, MARK)).encode().replace(MARK.encode(), raw)


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("path", [path for path in BODIES if path != "/api/show"])
def test_what_is_no_character_reaches_ollama_as_a_replacement(house: House, path: str, how: str) -> None:
    raw, read = BROKEN[how]
    answer = house.ask(path, sent(path, raw))
    assert answer.status == 200, answer
    (request,) = house.reached()
    assert read in request.body.decode()
    orjson.loads(request.body)


@pytest.mark.parametrize("name", [b"secret\xff", b"secret\\ud800", b"se\xedcret"])
def test_a_model_is_checked_as_it_is_read(house: House, name: bytes) -> None:
    for path in BODIES:
        raw = json.dumps({**BODIES[path], "model": MARK}).encode().replace(MARK.encode(), name)
        answer = house.ask(path, raw, who="stubs")
        assert answer.status in (400, 404), (path, answer)
    assert house.reached() == []


def test_keys_that_read_alike_are_one_key_twice(house: House) -> None:
    raw = b'{"model":"stub","prompt":"a","stream":false,"x\xff":1,"x\\ud800":2}'
    answer = house.ask("/api/generate", raw)
    assert answer.status == 400
    assert "stands twice" in error_of("/api/generate", answer)[1]


BIG = 10**30 + 1
TOOL = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"n": {"maximum": BIG}}}}
FREE: dict[str, dict[str, Any]] = {
    "/api/chat": {"tools": [{"type": "function", "function": TOOL}], "stream": False},
    "/api/generate": {"format": {"type": "integer", "maximum": BIG}, "stream": False},
    "/v1/chat/completions": {"tools": [{"type": "function", "function": TOOL}], "metadata": {"n": BIG}},
    "/v1/responses": {"metadata": {"n": BIG}},
    "/v1/messages": {"tools": [{"name": "f", "input_schema": {"maximum": BIG}}]},
}


@pytest.mark.parametrize("path", FREE)
def test_an_integer_in_a_free_object_keeps_its_digits(house: House, path: str) -> None:
    answer = house.ask(path, {**BODIES[path], "model": "stub-think", **FREE[path]})
    assert answer.status == 200, answer
    (request,) = house.reached()
    assert str(BIG).encode() in request.body


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/chat/completions", "max_tokens"),
        ("/v1/messages", "max_tokens"),
        ("/v1/responses", "max_output_tokens"),
        ("/api/chat", "keep_alive"),
    ],
)
@pytest.mark.parametrize("number", [2**63, -(10**30), 10**400])
def test_an_integer_that_ollama_must_count_with_has_to_fit(house: House, path: str, field: str, number: int) -> None:
    answer = house.ask(path, {**BODIES[path], field: number})
    assert answer.status == 400
    assert error_of(path, answer)[1] == f"'{field}' is out of range: it must fit 64 bits."
    assert house.reached() == []


@pytest.mark.parametrize("number", [2**63, 10**30, 10**400, 1e30])
def test_a_cap_beyond_all_bounds_is_no_cap(house: House, number: float) -> None:
    answer = house.ask("/api/chat", {**BODIES["/api/chat"], "stream": False, "options": {"num_predict": number}})
    assert answer.status in (200, 400)


def test_brackets_within_a_prompt_are_text(house: House) -> None:
    text = json.dumps([{"a": [1, 2]}] * 100_001, separators=(",", ":"))
    answer = house.ask("/api/generate", {"model": "stub-num1000000-trained1000000", "prompt": text, "stream": False})
    assert answer.status == 200, answer
