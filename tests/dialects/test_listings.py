"""Lists of models: what a key may use, and the aliases of it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from proxy import listings
from proxy.exceptions import ModelNotFound, UpstreamBroke
from proxy.listings import Sight
from tests.dialects.asked import key, policy

REMOTE = {"remote_model": "gpt-oss", "remote_host": "https://ollama.com:443"}
TAGS = {
    "models": [
        {
            "name": "mistral:latest",
            "model": "mistral:latest",
            "size": 1,
            "modified_at": "2026-01-02T03:04:05.123456789Z",
        },
        {"name": "me/mine:7b", "model": "me/mine:7b", "size": 2},
        {"name": "innocent:latest", "model": "innocent:latest", **REMOTE},
        {"name": "gpt-oss:cloud", "model": "gpt-oss:cloud"},
    ]
}
MODELS = {
    "object": "list",
    "data": [
        {"id": "mistral:latest", "object": "model", "created": 1767323045, "owned_by": "library"},
        {"id": "me/mine:7b", "object": "model", "created": 1767323046, "owned_by": "me"},
        {"id": "innocent:latest", "object": "model", "created": 1, "owned_by": "library"},
        {"id": "gpt-oss:cloud", "object": "model", "created": 1, "owned_by": "library"},
    ],
}


def sight(*models: str, cloud: bool = False, aliases: dict[str, str] | None = None) -> Sight:
    remote = () if cloud else ("innocent:latest",)
    return Sight(key(*models), policy(cloud=cloud, aliases=aliases), remote)


def names(body: bytes) -> list[str]:
    answer: dict[str, Any] = orjson.loads(body)
    return [entry.get("name", entry.get("id")) for entry in answer.get("models", answer.get("data"))]


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (sight(), ["mistral:latest", "me/mine:7b"]),
        (sight("mistral"), ["mistral:latest"]),
        (sight("me/*"), ["me/mine:7b"]),
        (sight("nothing"), []),
        (sight(cloud=True), ["mistral:latest", "me/mine:7b", "innocent:latest", "gpt-oss:cloud"]),
        (sight("*innocent*", cloud=True), ["innocent:latest"]),
    ],
)
def test_a_list_shows_what_the_key_may_use(seen: Sight, expected: list[str]) -> None:
    assert names(listings.tags(orjson.dumps(TAGS), seen)) == expected
    assert names(listings.running_models(orjson.dumps(TAGS), seen)) == expected
    assert names(listings.models(orjson.dumps(MODELS), seen)) == expected


def test_a_list_of_which_all_is_seen_keeps_its_bytes() -> None:
    tags = b'{"models": [ {"name":"mistral:latest","size":1.50} ]}\n'
    models = b'{"object":"list", "data":[{"id":"mistral:latest"}]}\n'
    assert listings.tags(tags, sight()) == tags
    assert listings.running_models(tags, sight()) == tags
    assert listings.models(models, sight()) == models


def test_an_entry_that_is_left_keeps_all_that_is_in_it() -> None:
    assert orjson.loads(listings.tags(orjson.dumps(TAGS), sight()))["models"] == TAGS["models"][:2]


def test_an_alias_is_listed_beside_its_model() -> None:
    seen = sight(aliases={"gpt-4o": "mistral", "mine": "ME/mine:7B", "gone": "llama3", "cloudy": "gpt-oss:cloud"})
    assert names(listings.tags(orjson.dumps(TAGS), seen)) == ["mistral:latest", "me/mine:7b", "gpt-4o", "mine"]
    assert names(listings.models(orjson.dumps(MODELS), seen)) == ["mistral:latest", "me/mine:7b", "gpt-4o", "mine"]
    alias = orjson.loads(listings.tags(orjson.dumps(TAGS), seen))["models"][2]
    assert alias == {**TAGS["models"][0], "name": "gpt-4o", "model": "gpt-4o"}


def test_an_alias_of_what_the_key_may_not_use_is_not_listed() -> None:
    seen = sight("me/*", aliases={"gpt-4o": "mistral"})
    assert names(listings.models(orjson.dumps(MODELS), seen)) == ["me/mine:7b"]


@pytest.mark.parametrize("empty", [b'{"object":"list","data":null}\n', b'{"object":"list"}', b"[]", b"null"])
def test_an_empty_list_is_a_list(empty: bytes) -> None:
    assert orjson.loads(listings.models(empty, sight())) == {"object": "list", "data": []}


def test_what_is_no_list_is_ollamas_failure() -> None:
    for broken in (b"", b"{", b"<html>"):
        with pytest.raises(UpstreamBroke):
            listings.tags(broken, sight())


def test_an_entry_without_a_name_is_not_shown() -> None:
    body = orjson.dumps({"models": [{"name": None}, {}, "x", None, {"name": "a b"}, {"name": "mistral"}]})
    assert names(listings.tags(body, sight())) == ["mistral"]


@pytest.mark.parametrize("wanted", ["mistral", "mistral:latest", "MISTRAL", "library/mistral", "mistral:local"])
def test_one_model_is_described_under_the_name_it_was_asked_by(wanted: str) -> None:
    found = orjson.loads(listings.model(orjson.dumps(MODELS), sight(), wanted))
    assert found == {**MODELS["data"][0], "id": wanted}


def test_a_model_behind_an_alias_is_described() -> None:
    found = orjson.loads(listings.model(orjson.dumps(MODELS), sight(aliases={"gpt-4o": "mistral"}), "GPT-4o"))
    assert found["id"] == "GPT-4o"


@pytest.mark.parametrize("wanted", ["llama3", "innocent", "gpt-oss:cloud", "../../api/ps", "mistral?x", "", "a b"])
def test_a_model_that_is_not_seen_does_not_exist(wanted: str) -> None:
    with pytest.raises(ModelNotFound):
        listings.model(orjson.dumps(MODELS), sight(), wanted)
    with pytest.raises(ModelNotFound):
        listings.model(orjson.dumps(MODELS), sight("me/*"), "mistral")


def test_anthropics_shape() -> None:
    body = listings.models(orjson.dumps(MODELS), sight("mistral"))
    entry = {
        "type": "model",
        "id": "mistral:latest",
        "display_name": "mistral:latest",
        "created_at": "2026-01-02T03:04:05Z",
    }
    assert orjson.loads(listings.for_anthropic(body)) == {
        "data": [entry],
        "has_more": False,
        "first_id": "mistral:latest",
        "last_id": "mistral:latest",
    }
    one = listings.model(orjson.dumps(MODELS), sight(), "mistral:latest")
    assert orjson.loads(listings.for_anthropic(one)) == entry
    nothing = listings.models(b'{"object":"list","data":null}', sight())
    assert orjson.loads(listings.for_anthropic(nothing)) == {
        "data": [],
        "has_more": False,
        "first_id": None,
        "last_id": None,
    }
