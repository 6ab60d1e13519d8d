"""Ollama's cloud: closed on every way there, unless the operator opens it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.stub_client import StubProcess
from tests.dialects.front import BODIES, House, Keyed, error_of, name_of, opened
from tests.harness import wait_until

WAYS: list[tuple[str, dict[str, Any]]] = [
    *((path, {"model": f"{body['model']}:cloud"}) for path, body in BODIES.items()),
    *((path, {"model": "stub:120b-cloud"}) for path in ("/api/chat", "/v1/chat/completions", "/v1/messages")),
    *((path, {"model": "stub-remote"}) for path in ("/api/chat", "/api/show", "/v1/responses", "/v1/completions")),
    ("/v1/responses", {"tools": [{"type": "web_search"}], "tool_choice": {"type": "web_search"}}),
    (
        "/v1/messages",
        {
            "tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}],
            "tool_choice": {"type": "tool", "name": "web_search"},
        },
    ),
]


@pytest.fixture(scope="module")
def cloudy(stub: StubProcess, keys: Keyed) -> Iterator[House]:
    """A gateway that lets requests reach the cloud."""
    with opened(stub, keys, ALLOW_CLOUD="true", MODEL_ALIASES="cheap=stub:cloud") as made:
        yield made


@pytest.mark.parametrize(("path", "fields"), WAYS)
def test_every_way_is_closed(house: House, path: str, fields: dict[str, Any]) -> None:
    for who in ("user", "manager", "stubs"):
        answer = house.ask(path, {**BODIES[path], **fields}, who=who)
        assert answer.status == 403
        assert "off here" in error_of(path, answer)[1]
        assert answer.headers["x-should-retry"] == "false"
    assert house.reached() == []


@pytest.mark.parametrize(("path", "fields"), WAYS)
def test_every_way_can_be_opened(cloudy: House, path: str, fields: dict[str, Any]) -> None:
    answer = cloudy.ask(path, {**BODIES[path], **fields})
    assert answer.status != 403
    bodies = [request.json() for request in cloudy.reached() if request.body]
    assert any(fields.items() <= body.items() for body in bodies), bodies


def test_an_open_cloud_is_listed(cloudy: House) -> None:
    tags = cloudy.ask("/api/tags", method="GET").json()["models"]
    assert [entry["name"] for entry in tags if entry.get("remote_host")] == ["stub-remote:latest"]
    assert "stub-remote:latest" in str(cloudy.ask("/v1/models", method="GET").json())


def test_an_open_cloud_opens_no_model_that_a_key_may_not_use(cloudy: House) -> None:
    for name in ("gpt-oss:cloud", "gpt-oss:120b-cloud", "library/gpt-oss:cloud"):
        assert cloudy.ask("/api/chat", {**BODIES["/api/chat"], "model": name}, who="stubs").status == 404
    assert cloudy.reached() == []


def test_what_is_a_cloud_model_is_asked_once_in_a_while(stub: StubProcess, keys: Keyed) -> None:
    """Anybody with a shell on that box makes one under any name, so its name alone does not tell."""
    with opened(stub, keys) as house:
        stub.reset()
        assert house.ask("/api/chat", {**BODIES["/api/chat"], "model": "stub-remote"}).status == 403
        asked = [name_of(request) for request in stub.requests()]
        assert asked.count("GET /api/tags") == 1
        for _ in range(5):
            house.ask("/api/chat", BODIES["/api/chat"])
        asked = [name_of(request) for request in stub.requests()]
        assert asked.count("GET /api/tags") == 1


def test_a_list_that_can_not_be_read_delays_a_request_a_little_and_stops_none(stub: StubProcess, keys: Keyed) -> None:
    with opened(stub, keys) as house:
        stub.behave("/api/tags", "status=500")
        assert house.ask("/api/chat", BODIES["/api/chat"]).status == 200
        assert house.ask("/api/chat", {**BODIES["/api/chat"], "model": "stub:cloud"}).status == 403
        stub.reset()
        wait_until(lambda: house.ask("/api/chat", {**BODIES["/api/chat"], "model": "stub-remote"}).status == 403, 10)
