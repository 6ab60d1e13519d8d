from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.stub.answer import Whole
from benchmarks.stub.record import Exchange, Link
from benchmarks.stub.routes import ROUTES, Route
from benchmarks.stub.server import Stub

FIELDS = [
    "model",
    "name",
    "prompt",
    "messages",
    "content",
    "role",
    "type",
    "text",
    "input",
    "stream",
    "options",
    "num_predict",
    "max_tokens",
    "tools",
    "function",
    "think",
    "keep_alive",
    "images",
    "system",
    "stream_options",
    "include_usage",
    "reasoning",
    "effort",
    "max_output_tokens",
    "thinking",
    "image_url",
    "url",
    "encoding_format",
    "dimensions",
    "source",
    "destination",
]
SCALARS = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        1,
        -1,
        1.5,
        1e300,
        10**30,
        "",
        "m",
        "user",
        "text",
        "stub-think",
        "low",
        "enabled",
        "missing",
    ]
)
OBJECTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6),
    max_leaves=25,
)
LIKELY = st.fixed_dictionaries(
    {"model": st.sampled_from(["m", "stub-think", "stub-embed", "stub-remote"]), "max_tokens": st.just(9)},
    optional={
        "prompt": st.text(),
        "input": st.text() | st.lists(st.text(), max_size=3),
        "messages": st.lists(
            st.fixed_dictionaries({"role": st.just("user"), "content": OBJECTS | st.text()}), max_size=3
        ),
        **dict.fromkeys(("stream", "tools", "think", "options", "dimensions", "stream_options", "system"), OBJECTS),
    },
)
UNLIKELY = st.dictionaries(st.sampled_from(FIELDS), OBJECTS, max_size=8)
POSTS = [route for route in ROUTES if route.method == "POST"]


@pytest.mark.parametrize("route", POSTS, ids=lambda route: route.path)
@settings(max_examples=25)
@given(body=LIKELY.map(json.dumps) | UNLIKELY.map(json.dumps) | st.text())
def test_whatever_the_body_there_is_an_answer_in_one_piece_or_in_chunks(route: Route, body: str) -> None:
    target = route.path.replace("{}", "sha256:" + "0" * 64)
    exchange = Exchange(0, Link(0, 0), route.method, target, [], body.encode("utf-8", "replace"), 0)
    name, reply = Stub().reply(exchange)
    assert name == route.name
    answer = reply.answer
    if isinstance(answer, Whole):
        assert isinstance(answer.body, bytes)
    else:
        assert all(isinstance(event, bytes) for events in (*answer.chunks, answer.ending) for event in events)
