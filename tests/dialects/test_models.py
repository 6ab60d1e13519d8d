"""Lists of models in four dialects, and a model by its id."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.stub_client import StubProcess
from tests.dialects.front import House, Keyed, errors_in, opened

ANTHROPIC = {"Anthropic_Version": "2023-06-01"}


@pytest.fixture(scope="module")
def bare(keys: Keyed) -> Iterator[House]:
    """A gateway before an Ollama without any model."""
    with StubProcess("--models", "") as stub, opened(stub, keys) as made:
        yield made


def test_an_empty_list_is_empty_and_not_null(bare: House) -> None:
    assert b"null" in bare.upstreams_own("/v1/models")
    for path in ("/v1/models", "/api/v1/models"):
        assert bare.ask(path, method="GET").json() == {"object": "list", "data": []}
    assert bare.ask("/api/tags", method="GET").json() == {"models": []}
    assert bare.ask("/api/ps", method="GET").json() == {"models": []}
    found = bare.ask("/v1/models", method="GET", headers=ANTHROPIC).json()
    assert found == {"data": [], "has_more": False, "first_id": None, "last_id": None}
    assert bare.ask("/v1/models/stub", method="GET").status == 404


@pytest.mark.parametrize("wanted", ["stub", "stub:latest", "STUB", "library/stub", "library%2Fstub", "st%75b"])
@pytest.mark.parametrize("prefix", ["/v1", "/api/v1"])
def test_a_model_is_found_by_any_spelling(house: House, prefix: str, wanted: str) -> None:
    answer = house.ask(f"{prefix}/models/{wanted}", method="GET")
    assert answer.status == 200
    found = answer.json()
    assert found["object"] == "model"
    assert found["id"] == wanted.replace("%2F", "/").replace("%75", "u")


@pytest.mark.parametrize("wanted", ["missing", "me/mine", "me/mine:7b", "example.com/me/mine", "%20", "a%2Fb%2Fc%2Fd"])
def test_a_model_that_is_not_there(house: House, wanted: str) -> None:
    kind, text = errors_in("openai", house.ask(f"/v1/models/{wanted}", method="GET").json())
    assert kind == "not_found_error"
    assert "not found" in text


def test_anthropics_shape_for_anthropics_clients(house: House) -> None:
    found = house.ask("/v1/models", method="GET", headers=ANTHROPIC).json()
    assert set(found) == {"data", "has_more", "first_id", "last_id"}
    assert found["first_id"] == found["data"][0]["id"] == "stub:latest"
    assert {tuple(entry) for entry in found["data"]} == {("type", "id", "display_name", "created_at")}
    one = house.ask("/v1/models/stub:latest", method="GET", headers=ANTHROPIC).json()
    assert one == found["data"][0]
    missing = house.ask("/v1/models/missing", method="GET", headers=ANTHROPIC)
    assert errors_in("anthropic", missing.json())[0] == "not_found_error"


def test_a_key_for_some_models_sees_those(house: House) -> None:
    everything = {entry["name"] for entry in house.ask("/api/tags", method="GET").json()["models"]}
    assert everything >= {"stub:latest", "stub-embed:latest", "stub-think:latest"}
    mine = {entry["name"] for entry in house.ask("/api/tags", method="GET", who="stubs").json()["models"]}
    assert mine == {name for name in everything if name.startswith("stub")} | {"gpt-4o", "text-embedding-3-small"}


def test_a_list_of_which_all_is_seen_has_ollamas_bytes(house: House) -> None:
    for path in ("/api/ps", "/api/version"):
        assert house.ask(path, method="GET").body == house.upstreams_own(path)


def test_tokens_are_counted_honestly(house: House) -> None:
    body = {"model": "stub", "system": "be kind", "messages": [{"role": "user", "content": "one two three four"}]}
    answer = house.ask("/v1/messages/count_tokens", body)
    assert answer.status == 200
    assert answer.json() == {"input_tokens": 8, "estimated": True}
    assert house.reached() == []
    for wrong, status in (
        (b"{", 400),
        ({"model": "stub"}, 400),
        ({**body, "model": "stub:cloud"}, 403),
        ({**body, "Model": "x"}, 400),
    ):
        refused = house.ask("/v1/messages/count_tokens", wrong)
        assert refused.status == status
        errors_in("anthropic", refused.json())
    assert house.ask("/v1/messages/count_tokens", {**body, "model": "secret"}, who="stubs").status == 404


def test_a_message_without_content_has_an_empty_list(house: House) -> None:
    body = {"model": "stub", "max_tokens": 9, "messages": [{"role": "user", "content": "a [[chunks=0]]"}]}
    assert b'"content":null' in house.upstreams_own("/v1/messages", body)
    answer = house.ask("/v1/messages", body).json()
    assert answer["content"] == []
    assert answer["usage"] == {"input_tokens": 1, "output_tokens": 0}
