"""What an ordinary key may not change for everybody: dropped, lowered or answered here, and said."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from benchmarks.stub_client import StubProcess
from tests.dialects.front import BODIES, STREAMED, House, Keyed, name_of, opened, saying

NATIVE = ["/api/generate", "/api/chat", "/api/v1/generate", "/api/v1/chat"]
CHANGED = "x-gateway-changed"
RELOADING = {"num_ctx": 8192, "num_batch": 1, "num_gpu": 0, "main_gpu": 1, "use_mmap": False, "num_thread": 1}
HARMLESS = {"temperature": 0.5, "seed": 1, "stop": ["x"], "num_predict": 2}


@pytest.fixture(scope="module")
def capped(stub: StubProcess, keys: Keyed) -> Iterator[House]:
    """A gateway that lets ordinary keys set some things, up to limits."""
    settings = {
        "MAX_OUTPUT_TOKENS": 3,
        "MAX_NUM_CTX": 4096,
        "MAX_KEEP_ALIVE": 600,
        "CLIENT_OPTIONS": "num_thread,use_mmap",
    }
    with opened(stub, keys, **settings) as made:
        yield made


def sent(house: House) -> dict[str, Any]:
    """The one body that reached the stub; which models are loaded, the gateway asks on its own account."""
    (request,) = (request for request in house.reached() if name_of(request) != "GET /api/ps")
    body: dict[str, Any] = request.json()
    return body


@pytest.mark.parametrize("path", NATIVE)
@pytest.mark.parametrize("stream", [True, False])
def test_what_reloads_the_model_is_dropped_and_said(house: House, path: str, stream: bool) -> None:
    fields = {"options": {**RELOADING, **HARMLESS}, "keep_alive": -1, "shift": False, "_debug_render_only": True}
    answer = house.ask(path, {**BODIES[path], **fields, "stream": stream})
    assert answer.status == 200
    # The stub is loaded with a window of 4096: no other one passes.
    assert sent(house) == {**BODIES[path], "options": {**HARMLESS, "num_ctx": 4096}, "stream": stream}
    said = {f"options.{name} dropped" for name in RELOADING if name != "num_ctx"} | {
        "options.num_ctx=4096",
        *(f"{name} dropped" for name in ("keep_alive", "shift", "_debug_render_only")),
    }
    assert set(answer.headers[CHANGED].split(", ")) == said


@pytest.mark.parametrize("path", NATIVE)
def test_a_key_that_manages_sets_what_it_likes(house: House, path: str) -> None:
    fields = {"options": {**RELOADING, **HARMLESS}, "keep_alive": -1, "shift": False, "stream": False}
    answer = house.ask(path, {**BODIES[path], **fields}, who="manager")
    assert CHANGED not in answer.headers
    assert sent(house) == {**BODIES[path], **fields}


def test_what_is_not_changed_is_not_said(house: House) -> None:
    for path in BODIES:
        assert CHANGED not in house.ask(path, BODIES[path]).headers


@pytest.mark.parametrize("path", [path for path in BODIES if path not in NATIVE])
def test_no_dialect_is_a_way_around(house: House, path: str) -> None:
    """Ollama ignores these on /v1; a later one might not."""
    model = f"{BODIES[path]['model']}-2"  # whose description is not kept yet
    house.ask(path, {**BODIES[path], "model": model, "keep_alive": 0, "_debug_render_only": True, "shift": False})
    assert not {"keep_alive", "_debug_render_only", "shift"} & sent(house).keys()


@pytest.mark.parametrize(
    ("asked", "options", "changed"),
    [
        ({"num_ctx": 8192}, {"num_ctx": 4096}, "options.num_ctx=4096"),
        ({"num_ctx": 2048}, {"num_ctx": 2048}, None),
        ({"num_thread": 2, "use_mmap": True}, {"num_thread": 2, "use_mmap": True}, None),
        ({"num_gpu": 1}, {}, "options.num_gpu dropped"),
    ],
)
def test_the_operator_says_what_ordinary_keys_may_set(
    capped: House, asked: dict[str, Any], options: dict[str, Any], changed: str | None
) -> None:
    answer = capped.ask("/api/chat", {**BODIES["/api/chat"], "options": {**asked, "num_predict": 2}})
    assert sent(capped)["options"] == {**options, "num_predict": 2}
    assert answer.headers.get(CHANGED) == changed


@pytest.mark.parametrize(
    ("asked", "kept", "changed"),
    [
        ("5m", "5m", None),
        (600, 600, None),
        ("24h", 600, "keep_alive=600"),
        (-1, 600, "keep_alive=600"),
        (0, None, "keep_alive dropped"),
    ],
)
def test_a_model_is_kept_in_memory_up_to_a_limit(capped: House, asked: Any, kept: Any, changed: str | None) -> None:
    body = {**BODIES["/api/embed"], "keep_alive": asked}
    answer = capped.ask("/api/embed", body)
    assert sent(capped).get("keep_alive") == kept
    assert answer.headers.get(CHANGED) == changed


CAPS = {
    **dict.fromkeys(NATIVE, "options.num_predict"),
    **dict.fromkeys((path for path in STREAMED if path.endswith("completions")), "max_tokens"),
    "/v1/messages": "max_tokens",
    "/v1/responses": "max_output_tokens",
}


@pytest.mark.parametrize("path", STREAMED)
@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_has_at_most_so_many_tokens_in_any_dialect(capped: House, path: str, stream: bool) -> None:
    field = CAPS[path]
    name = field.removeprefix("options.")
    words = "one two three four five six seven eight"
    for cap, wanted in ((2, 2), (3, 3), (4, 3), (10**6, 3), (-1, 3), (None, 3)):
        capped.stub.reset()
        body = saying(path, words, stream=stream)
        body.pop(name, None)
        if field.startswith("options"):
            body["options"] = {name: cap}
        elif cap is not None or path != "/v1/messages":  # where it is required
            body[name] = cap
        else:
            body[name] = 99
        answer = capped.ask(path, body)
        assert answer.status == 200
        (request,) = capped.reached()
        holder = request.json().get("options", {}) if field.startswith("options") else request.json()
        assert holder[name] == wanted
        assert answer.headers.get(CHANGED) == (None if cap == wanted else f"{field}=3")
        assert b" four" not in answer.body
        assert b"two" in answer.body


def test_the_newer_name_of_the_cap_is_no_way_around_it(capped: House) -> None:
    path = "/v1/chat/completions"
    answer = capped.ask(path, saying(path, "one two three four five", max_completion_tokens=100))
    assert sent(capped)["max_tokens"] == 3
    assert answer.json()["choices"][0]["message"]["content"] == "one two three"


def test_a_key_that_manages_has_no_cap(capped: House) -> None:
    capped.ask("/api/generate", {**BODIES["/api/generate"], "options": {"num_predict": 900}}, who="manager")
    assert sent(capped)["options"] == {"num_predict": 900}


# Loading and unloading

UNLOADS = [
    ("/api/generate", {"model": "Stub", "keep_alive": 0}),
    ("/api/generate", {"model": "stub", "prompt": "", "keep_alive": "0s", "stream": False}),
    ("/api/chat", {"model": "stub:latest", "keep_alive": 0, "stream": True}),
    ("/api/chat", {"model": "stub", "messages": [], "keep_alive": 1e-12}),
    ("/api/v1/generate", {"model": "stub", "prompt": "", "keep_alive": 0}),
]


@pytest.mark.parametrize(("path", "body"), UNLOADS)
def test_an_unload_is_answered_as_ollama_would_and_not_passed_on(house: House, path: str, body: dict[str, Any]) -> None:
    answer = house.ask(path, body)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    found = answer.json()
    said = {"message": {"role": "assistant", "content": ""}} if path.endswith("chat") else {"response": ""}
    created = found.pop("created_at")
    assert datetime.fromisoformat(created).tzinfo is not None
    assert created.endswith("Z")
    assert found == {"model": body["model"], **said, "done": True, "done_reason": "unload"}
    assert house.reached() == []


def test_an_unload_as_an_event(house: House) -> None:
    answer = house.ask("/api/v1/generate", {"model": "stub", "prompt": "", "keep_alive": 0, "stream": True})
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.body.startswith(b"data: {")
    assert answer.body.endswith(b'"done_reason":"unload"}\n\n')
    assert house.reached() == []


def test_an_unload_of_a_model_that_the_key_may_not_use(house: House) -> None:
    assert house.ask("/api/generate", {"model": "secret", "keep_alive": 0}, who="stubs").status == 404
    assert house.ask("/api/generate", {"keep_alive": 0}).status == 404  # of no model: Ollama's to say


def test_a_key_that_manages_unloads(house: House) -> None:
    answer = house.ask("/api/generate", {"model": "stub", "keep_alive": 0, "stream": False}, who="manager")
    assert answer.json()["done_reason"] == "unload"
    assert sent(house) == {"model": "stub", "keep_alive": 0, "stream": False}


def test_a_load_passes(house: House) -> None:
    for path in ("/api/generate", "/api/chat"):
        answer = house.ask(path, {"model": "stub", "keep_alive": "5m"})
        assert answer.json()["done_reason"] == "load"
        assert answer.headers[CHANGED] == "keep_alive dropped"
    assert [name_of(request) for request in house.reached()] == ["POST /api/generate", "POST /api/chat"]
    assert all("keep_alive" not in request.json() for request in house.reached())


# Models' insides


def test_show_tells_an_ordinary_key_the_short_version(house: House) -> None:
    asked = {"model": "stub-3", "verbose": True, "system": "x", "template": "y", "options": {"num_ctx": 1}}
    answer = house.ask("/api/show", asked)
    assert sent(house) == {"model": "stub-3"}
    assert "tensors" not in answer.json()
    assert answer.json()["model_info"]
    assert answer.headers[CHANGED] == "verbose dropped, system dropped, template dropped, options dropped"
    house.stub.reset()
    assert "tensors" in house.ask("/api/show", asked, who="manager").json()
    assert sent(house) == asked


def test_show_takes_the_older_name_of_the_field(house: House) -> None:
    assert house.ask("/api/show", {"name": "stub-4"}).status == 200
    assert house.ask("/api/show", {"name": "secret"}, who="stubs").status == 404
    assert house.ask("/api/show", {"name": "stub", "model": "secret"}, who="stubs").status == 400
    assert sent(house) == {"model": "stub-4"}
