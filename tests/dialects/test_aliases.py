"""Other names for models: in what clients ask, in what they get, in what they see listed."""

from __future__ import annotations

import json

import pytest

from tests.dialects.front import BODIES, STREAMED, House, error_of, saying

ALIAS = {path: "text-embedding-3-small" if "embed" in path else "gpt-4o" for path in BODIES}
SAYING = [path for path in BODIES if path not in ("/api/embeddings", "/api/show")]


@pytest.mark.parametrize("path", SAYING)
def test_an_answer_has_the_clients_name(house: House, path: str) -> None:
    for stream in (True, False) if path in STREAMED else (None,):
        body = {**BODIES[path], **({} if stream is None else {"stream": stream})}
        answer = house.ask(path, {**body, "model": ALIAS[path]})
        assert answer.status == 200
        target = json.dumps(body["model"]).encode()
        plain = house.ask(path, body).body
        renamed = plain.replace(b'"model":' + target, b'"model":"' + ALIAS[path].encode() + b'"')
        assert answer.body == renamed
        assert renamed != plain
    assert {request.json()["model"] for request in house.reached()} == {BODIES[path]["model"]}


@pytest.mark.parametrize("path", STREAMED)
def test_an_answer_has_the_clients_name_wherever_it_is_cut(house: House, path: str) -> None:
    for seed in range(3):
        text = f'x "model":"stub" y [[chunks=12 multibyte=1 split=random tcp=random seed={seed}]]'
        direct = house.upstreams_own(path, saying(path, text, stream=True))
        passed = house.stream(path, saying(path, text, stream=True, model="gpt-4o"))
        assert passed.count(b'"model":"gpt-4o"') == direct.count(b'"model":"stub"') > 0
        assert b'"model":"stub"' not in passed


def test_an_alias_is_listed(house: House) -> None:
    tags = {entry["name"]: entry for entry in house.ask("/api/tags", method="GET").json()["models"]}
    assert tags["gpt-4o"] == {**tags["stub:latest"], "name": "gpt-4o", "model": "gpt-4o"}
    for path in ("/v1/models", "/api/v1/models"):
        ids = [entry["id"] for entry in house.ask(path, method="GET").json()["data"]]
        assert {"gpt-4o", "text-embedding-3-small", "stub:latest"} <= set(ids)
        assert len(ids) == len(set(ids))
        assert not {"stub-alias", "cheap"} & set(ids)  # of a model that is not there, and of a cloud model
    answer = house.ask("/v1/models/gpt-4o", method="GET")
    assert answer.json()["id"] == "gpt-4o"


def test_what_is_behind_an_alias_is_not_told(house: House) -> None:
    for path in STREAMED:
        answer = house.ask(path, {**BODIES[path], "model": "stub-alias"}, who="stubs")
        assert answer.status == 404
        assert "secret" not in error_of(path, answer)[1]
        assert "stub-alias" in error_of(path, answer)[1]
    assert house.reached() == []


def test_ollamas_words_have_the_clients_name_too(house: House) -> None:
    for path in ("/api/chat", "/v1/chat/completions", "/v1/messages"):
        body = saying(path, "x", model="gpt-4o", think=True, reasoning_effort="high")
        answer = house.ask(path, body)
        if answer.status == 400:
            assert '"gpt-4o" does not support thinking' in error_of(path, answer)[1]
        else:
            assert path == "/v1/messages"
