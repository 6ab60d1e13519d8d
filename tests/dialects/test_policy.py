"""What becomes of a request before Ollama sees it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rest import Refusal
from proxy import shapes
from proxy.exceptions import BadBody, CloudRefused, ModelNotFound
from proxy.routes import ROUTES
from proxy.shapes import Shape
from tests.dialects.asked import decided, key, policy

MESSAGES = [{"role": "user", "content": "abcdefgh"}]
SHAPES = {route.path: route.shape for route in ROUTES if route.shape is not shapes.NOTHING}
# A body for each kind of request that has all it needs.
WHOLE: dict[str, Any] = {
    "model": "mistral",
    "prompt": "abcdefgh",
    "messages": MESSAGES,
    "input": "abcdefgh",
    "max_tokens": 9,
    "source": "mistral",
    "destination": "mistral:copy",
}


def body(shape: Shape, **fields: Any) -> dict[str, Any]:
    """A body of this kind: what is required, and these fields."""
    return {**{name: WHOLE[name] for name in shape.required}, **fields}


@pytest.mark.parametrize(
    ("shape", "default"),
    [
        (shapes.GENERATE, True),
        (shapes.CHAT, True),
        (shapes.PULL, True),
        (shapes.CREATE, True),
        (shapes.SEED_GENERATE, False),
        (shapes.SEED_CHAT, False),
        (shapes.CHAT_COMPLETIONS, False),
        (shapes.COMPLETIONS, False),
        (shapes.RESPONSES, False),
        (shapes.MESSAGES, False),
    ],
)
def test_whether_an_answer_is_streamed_is_always_said(shape: Shape, default: bool) -> None:
    for asked, streamed in ((None, default), (True, True), (False, False)):
        ask = decided(shape, body(shape, model="mistral", stream=asked))
        assert ask.streamed is ask.payload["stream"] is streamed
    assert decided(shape, body(shape, model="mistral")).payload["stream"] is default


@pytest.mark.parametrize("value", [0, 1, "true", "", [], {}])
def test_a_stream_that_is_no_boolean_is_refused(value: object) -> None:
    with pytest.raises(BadBody, match="'stream' must be true or false"):
        decided(shapes.CHAT, {"model": "mistral", "messages": MESSAGES, "stream": value})


@pytest.mark.parametrize("path", SHAPES)
def test_a_wrong_type_in_any_field_is_said_and_never_breaks(path: str) -> None:
    shape = SHAPES[path]
    for name in shape.types:
        for wrong in (True, 1, 1.5, "x", [], {}):
            try:
                decided(shape, body(shape, **{name: wrong}))
            except (BadBody, ModelNotFound, CloudRefused):
                continue


@given(
    st.sampled_from(sorted(SHAPES)),
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "role"]), inner),
        max_leaves=4,
    ),
    st.data(),
)
def test_no_json_breaks_the_decision(path: str, value: object, data: st.DataObject) -> None:
    shape = SHAPES[path]
    name = data.draw(st.sampled_from(sorted({*shape.struct.names, "model", "name", "tools", "keep_alive", "options"})))
    try:
        ask = decided(shape, body(shape, **{name: value}), principal=key("mistral"))
    except Refusal:
        return
    decided_on = dict(ask.payload)
    assert json.loads(ask.body()) == decided_on


def test_what_is_sent_on_is_canonical_and_keeps_what_nobody_knows() -> None:
    raw = b' {"model" : "mistral",\n "prompt":"caf\\u00e9 \xe2\x98\x83 \\/ <>", "invented": {"B":1,"b":[1.50]} }  '
    ask = decided(shapes.GENERATE, raw)
    sent = '{"model":"mistral","prompt":"café ☃ / <>","invented":{"B":1,"b":[1.5]},"stream":true}'
    assert ask.body() == sent.encode()


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "The body is empty"),
        (b" \n", "The body is empty"),
        (b"[]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'{"prompt":"x"', "not valid JSON"),
        (b'{"prompt":"x"}{"model":"b"}', "not valid JSON"),
        (b'{"prompt":"x"} x', "not valid JSON"),
        (b"{'prompt':'x'}", "not valid JSON"),
        (b'{"prompt":"x",}', "not valid JSON"),
        (b'\xef\xbb\xbf{"prompt":"x"}', "not valid JSON"),
        (b'{"prompt":"x","prompt":"y"}', "'prompt' stands twice"),
        (b'{"prompt":"x","mod\\u0065l":"a","model":"b"}', "'model' stands twice"),
        (b'{"prompt":"x","options":{"deep":[{"a":1,"a":2}]}}', "'a' stands twice"),
        (b'{"prompt":"x","options":{"seed":NaN}}', "NaN is not JSON"),
        (b'{"prompt":"x","options":{"seed":-Infinity}}', "-Infinity is not JSON"),
        (b'{"prompt":"x","options":{"seed":1e999}}', "too large"),
        (b'{"prompt":"x","options":{"seed":' + b"9" * 5000 + b"}}", "too long"),
        (b'{"prompt":"x","a":' + b"[" * 200 + b"]" * 200 + b"}", "nested deeper"),
        (b'{"prompt":"x","a":' + b"[" * 99999, "not valid JSON|nested deeper"),
        (b'{"PROMPT":"x"}', "spell it so"),
        (b'{"prompt":"x","MODEL":"b"}', "spell it so"),
        (b'{"prompt":"x","model":"a","Model":"b"}', "spell it so"),
    ],
)
def test_a_doubtful_body_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(BadBody, match=why):
        decided(shapes.SEED_GENERATE, raw).body()


# Models


def test_the_clients_spelling_is_kept_and_the_decision_is_on_the_canonical_name() -> None:
    ask = decided(shapes.GENERATE, {"model": " Library/MISTRAL "}, principal=key("mistral"))
    assert (ask.model, ask.target, ask.canonical) == (" Library/MISTRAL ", " Library/MISTRAL ", "mistral:latest")
    assert ask.payload["model"] == " Library/MISTRAL "


@pytest.mark.parametrize("name", ["llama3", "mistral:7b", "me/mistral", "example.com/library/mistral", "mistral:cloud"])
@pytest.mark.parametrize("shape", [shapes.GENERATE, shapes.EMBEDDINGS, shapes.SHOW, shapes.PULL, shapes.MESSAGES])
def test_a_model_that_the_key_may_not_use_does_not_exist(shape: Shape, name: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        decided(shape, body(shape, model=name), principal=key("mistral"))
    assert caught.value.message == f"model '{name}' not found"


def test_every_field_that_names_a_model_is_looked_at() -> None:
    only = key("mistral*", manage=True)
    for shape, fields in (
        (shapes.COPY, {"source": "llama3", "destination": "mistral"}),
        (shapes.COPY, {"source": "mistral", "destination": "llama3"}),
        (shapes.CREATE, {"model": "mistral-mine", "from": "llama3"}),
        (shapes.CREATE, {"model": "llama3", "from": "mistral"}),
        (shapes.DELETE, {"name": "llama3"}),
        (shapes.PULL, {"name": "llama3"}),
        (shapes.SHOW, {"name": "llama3"}),
    ):
        with pytest.raises(ModelNotFound):
            decided(shape, fields, principal=only)
    ask = decided(shapes.CREATE, {"model": "mistral-mine", "from": "mistral"}, principal=only)
    assert ask.canonical == "mistral-mine:latest"


def test_a_field_of_another_kind_of_request_is_no_model() -> None:
    for name in ("source", "destination", "from"):
        ask = decided(shapes.GENERATE, {"model": "mistral", name: {"any": "thing"}}, principal=key("mistral"))
        assert ask.payload[name] == {"any": "thing"}


def test_a_model_means_nothing_where_there_is_none() -> None:
    fields = {"source": "mistral", "destination": "mistral:copy", "model": 5}
    assert decided(shapes.COPY, dict(fields), principal=key("mistral*", manage=True)).payload == fields


def test_the_older_field_for_a_model_becomes_the_newer() -> None:
    ask = decided(shapes.DELETE, {"name": "mistral"})
    assert ask.payload == {"model": "mistral"}
    assert decided(shapes.SHOW, {"name": "mistral", "model": "mistral"}).payload == {"model": "mistral"}
    for other in ("Mistral", "llama3"):
        with pytest.raises(BadBody, match="'model' and 'name' differ"):
            decided(shapes.SHOW, {"name": "mistral", "model": other})


@pytest.mark.parametrize("name", ["a b", "a//b", "mistral?", "mis\u017ftral", "..", "a" * 1000])
def test_a_text_that_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(BadBody, match="is no model name"):
        decided(shapes.GENERATE, {"model": name})


def test_a_request_without_a_model_is_ollamas_to_answer() -> None:
    for missing in ({}, {"model": None}, {"model": ""}):
        ask = decided(shapes.GENERATE, {**missing, "prompt": "x"}, principal=key("mistral"))
        assert (ask.model, ask.canonical) == ("", "")


# Aliases


def test_an_alias_stands_for_its_model() -> None:
    house = policy(aliases={"gpt-4o": "mistral:7b"})
    for spelling in ("gpt-4o", "GPT-4o", " gpt-4o "):
        ask = decided(shapes.CHAT_COMPLETIONS, body(shapes.CHAT_COMPLETIONS, model=spelling), house=house)
        assert (ask.model, ask.target, ask.canonical) == (spelling, "mistral:7b", "mistral:7b")
        assert ask.payload["model"] == "mistral:7b"


def test_an_alias_opens_no_model_that_is_closed() -> None:
    house = policy(aliases={"mistral": "llama3", "cheap": "gpt-oss:cloud"})
    with pytest.raises(ModelNotFound) as caught:
        decided(shapes.GENERATE, {"model": "mistral"}, house=house, principal=key("mistral"))
    assert "mistral" in caught.value.message
    assert "llama3" not in caught.value.message
    with pytest.raises(CloudRefused):
        decided(shapes.GENERATE, {"model": "cheap"}, house=house)


# The cloud

WEB_TOOLS = ["web_search", "web_search_20250305", "Web_Search", "WEB_FETCH", " web_search", "web_fetch_2026"]


@pytest.mark.parametrize("name", ["gpt-oss:cloud", "gpt-oss:120b-cloud", "gpt-oss:CLOUD", "library/gpt-oss:20b-Cloud"])
def test_a_cloud_model_is_refused_unless_allowed(name: str) -> None:
    for principal in (key(), key(manage=True)):
        with pytest.raises(CloudRefused, match="ALLOW_CLOUD"):
            decided(shapes.GENERATE, {"model": name}, principal=principal)
    assert decided(shapes.GENERATE, {"model": name}, house=policy(cloud=True)).target == name


@pytest.mark.parametrize("name", ["innocent", "Innocent:LATEST", "library/innocent", "innocent:local"])
def test_a_local_name_for_a_cloud_model_is_refused(name: str) -> None:
    with pytest.raises(CloudRefused):
        decided(shapes.CHAT, {"model": name}, remote={"innocent:latest"})
    assert decided(shapes.CHAT, {"model": "innocent:7b"}, remote={"innocent:latest"}).canonical == "innocent:7b"


@pytest.mark.parametrize("kind", WEB_TOOLS)
@pytest.mark.parametrize("shape", [shapes.RESPONSES, shapes.MESSAGES, shapes.CHAT, shapes.CHAT_COMPLETIONS])
def test_a_tool_that_searches_the_web_is_removed_unless_allowed(shape: Shape, kind: str) -> None:
    function = {"type": "function", "name": "f"}
    asked = body(shape, model="mistral", tools=[function, {"type": kind, "name": "x"}])
    for principal in (key(), key(manage=True)):
        ask = decided(shape, dict(asked), principal=principal)
        assert ask.payload["tools"] == [function]
        assert [said for said in ask.changed if said.startswith("tool ")] == [f"tool {kind.strip()} dropped"]
    allowed = decided(shape, dict(asked), house=policy(cloud=True))
    assert (allowed.payload["tools"], allowed.changed) == (asked["tools"], [])


def test_a_function_may_be_called_web_search() -> None:
    tool = {"type": "function", "function": {"name": "web_search", "parameters": {"type": "web_search"}}}
    assert decided(shapes.CHAT, {"model": "mistral", "tools": [tool]}).payload["tools"] == [tool]


def test_no_model_is_made_of_the_cloud() -> None:
    manager = key(manage=True)
    for fields in (
        {"model": "innocent", "from": "gpt-oss", "remote_host": "https://ollama.com"},
        {"model": "innocent", "from": "gpt-oss:cloud"},
        {"model": "gpt-oss:cloud", "from": "mistral"},
    ):
        with pytest.raises(CloudRefused):
            decided(shapes.CREATE, dict(fields), principal=manager)
        assert decided(shapes.CREATE, dict(fields), principal=manager, house=policy(cloud=True))
    with pytest.raises(CloudRefused):
        decided(shapes.COPY, {"source": "stub", "destination": "x"}, principal=manager, remote={"stub:latest"})


# What an ordinary key may not


def test_show_tells_an_ordinary_key_what_is_there_and_tries_nothing_out() -> None:
    asked = {"model": "mistral", "verbose": True, "system": "x", "template": "y", "options": {"num_ctx": 1}}
    ask = decided(shapes.SHOW, dict(asked))
    assert ask.payload == {"model": "mistral"}
    assert ask.changed == ["verbose dropped", "system dropped", "template dropped", "options dropped"]
    manager = decided(shapes.SHOW, dict(asked), principal=key(manage=True))
    assert (manager.payload, manager.changed) == (asked, [])


def test_a_key_that_manages_may_set_everything() -> None:
    asked = {
        "model": "mistral",
        "prompt": "x",
        "keep_alive": -1,
        "shift": False,
        "_debug_render_only": True,
        "options": {"num_ctx": 99999, "num_predict": 99999},
        "stream": False,
    }
    ask = decided(shapes.GENERATE, dict(asked), principal=key(manage=True), house=policy(output_tokens=5))
    assert (ask.payload, ask.changed) == (asked, [])


@pytest.mark.parametrize(
    ("shape", "fields", "unload"),
    [
        (shapes.GENERATE, {"keep_alive": 0}, True),
        (shapes.GENERATE, {"prompt": "", "keep_alive": "0s"}, True),
        (shapes.GENERATE, {"prompt": None, "keep_alive": -0.0}, True),
        (shapes.GENERATE, {"prompt": "", "keep_alive": 1e-12}, True),
        (shapes.CHAT, {"keep_alive": 0}, True),
        (shapes.CHAT, {"messages": [], "keep_alive": "0"}, True),
        (shapes.SEED_GENERATE, {"prompt": "", "keep_alive": 0}, True),
        (shapes.GENERATE, {"prompt": "x", "keep_alive": 0}, False),
        (shapes.GENERATE, {}, False),
        (shapes.GENERATE, {"keep_alive": None}, False),
        (shapes.GENERATE, {"keep_alive": "5m"}, False),
        (shapes.CHAT, {"messages": MESSAGES, "keep_alive": 0}, False),
        (shapes.EMBED, {"keep_alive": 0}, False),
    ],
)
def test_an_unload_is_recognised(shape: Shape, fields: dict[str, Any], unload: bool) -> None:
    assert decided(shape, {"model": "mistral", **fields}).unload is unload
    assert not decided(shape, {"model": "mistral", **fields}, principal=key(manage=True)).unload
    assert not decided(shape, fields).unload  # of no model


def test_the_cap_stands_in_the_field_of_its_dialect() -> None:
    house = policy(output_tokens=5)
    for shape, where in (
        (shapes.GENERATE, ("options", "num_predict")),
        (shapes.SEED_CHAT, ("options", "num_predict")),
        (shapes.CHAT_COMPLETIONS, ("max_tokens",)),
        (shapes.COMPLETIONS, ("max_tokens",)),
        (shapes.RESPONSES, ("max_output_tokens",)),
        (shapes.MESSAGES, ("max_tokens",)),
    ):
        ask = decided(shape, body(shape, model="mistral"), house=house)
        value: Any = ask.payload
        for name in where:
            value = value[name]
        assert value == 5
        assert ask.changed == [f"{'.'.join(where)}=5"]


def test_the_newer_field_for_the_cap_is_capped_too() -> None:
    house = policy(output_tokens=5)
    asked = body(shapes.CHAT_COMPLETIONS, model="mistral", max_completion_tokens=900)
    ask = decided(shapes.CHAT_COMPLETIONS, asked, house=house)
    assert ask.payload["max_tokens"] == 5
    assert "max_completion_tokens" not in ask.payload


# OpenAI


@pytest.mark.parametrize(
    ("fields", "cap"),
    [
        ({"max_completion_tokens": 7}, 7),
        ({"max_completion_tokens": 7, "max_tokens": None}, 7),
        ({"max_completion_tokens": 7, "max_tokens": 9}, 9),
        ({"max_completion_tokens": None}, None),
        ({}, None),
    ],
)
def test_the_newer_field_becomes_the_one_that_ollama_reads(fields: dict[str, Any], cap: int | None) -> None:
    ask = decided(shapes.CHAT_COMPLETIONS, body(shapes.CHAT_COMPLETIONS, model="mistral", **fields))
    assert ask.payload.get("max_tokens") == cap
    assert "max_completion_tokens" not in ask.payload


@pytest.mark.parametrize("shape", [shapes.CHAT_COMPLETIONS, shapes.COMPLETIONS])
@pytest.mark.parametrize(
    ("asked", "hidden", "sent"),
    [
        (None, True, {"include_usage": True}),
        ({}, True, {"include_usage": True}),
        ({"include_usage": False}, True, {"include_usage": True}),
        ({"include_usage": None}, True, {"include_usage": True}),
        ({"include_usage": True}, False, {"include_usage": True}),
        ({"x": 1}, True, {"x": 1, "include_usage": True}),
    ],
)
def test_a_stream_always_counts(shape: Shape, asked: object, hidden: bool, sent: dict[str, Any]) -> None:
    ask = decided(shape, body(shape, model="mistral", stream=True, stream_options=asked))
    assert ask.hide_usage is hidden
    assert ask.payload["stream_options"] == sent


def test_what_is_not_streamed_is_left_alone() -> None:
    ask = decided(shapes.CHAT_COMPLETIONS, body(shapes.CHAT_COMPLETIONS, model="mistral"))
    assert "stream_options" not in ask.payload
    assert not ask.hide_usage


def test_a_batch_has_a_limit() -> None:
    for shape in (shapes.EMBED, shapes.OPENAI_EMBEDDINGS):
        assert decided(shape, {"model": "mistral", "input": ["a"] * 3})
        with pytest.raises(BadBody, match="4 inputs are too many for one request: send at most 3"):
            decided(shape, {"model": "mistral", "input": ["a"] * 4})


@pytest.mark.parametrize(
    "shape", [shapes.GENERATE, shapes.EMBED, shapes.EMBEDDINGS, shapes.COMPLETIONS, shapes.RESPONSES]
)
def test_a_prompt_is_estimated(shape: Shape) -> None:
    fields = {name: "abcdefgh" for name in ("prompt", "input") if name in shape.struct.names}
    assert decided(shape, {"model": "mistral", **fields}).prompt_estimate == 2


@pytest.mark.parametrize(
    ("shape", "cap"),
    [(shapes.CHAT_COMPLETIONS, "max_tokens"), (shapes.RESPONSES, "max_output_tokens"), (shapes.CHAT, None)],
)
def test_no_other_spelling_of_a_cap_reaches_what_stands_in_an_ollamas_place(shape: Shape, cap: str | None) -> None:
    """llama.cpp, for one, reads several of them."""
    spellings = dict.fromkeys(("n_predict", "num_predict", "max_tokens", "max_output_tokens"), 900)
    ask = decided(shape, body(shape, model="m") | spellings | ({cap: 5} if cap else {}))
    assert {name: value for name, value in ask.payload.items() if name in spellings} == ({cap: 5} if cap else {})
    assert "n_predict dropped" in ask.changed
