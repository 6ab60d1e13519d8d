"""`/api/schema`: every route, its errors and its examples, and all of it true."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest
from drf_spectacular.validation import validate_schema

from proxy.openapi.bodies import has_body, streams
from proxy.policy import read
from proxy.routes import ROUTES, Route
from proxy.schema import document
from tests.harness import GatewayServer

each_route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")


@pytest.fixture(scope="module")
def schema(gateway: GatewayServer) -> dict[str, Any]:
    answer = httpx.get(f"{gateway.url}/api/schema")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    said: dict[str, Any] = answer.json()
    return said


def described(schema: dict[str, Any], route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = schema["paths"][route.path][route.method.lower()]
    return operation


def test_it_is_valid_openapi(schema: dict[str, Any]) -> None:
    validate_schema(schema)
    assert schema["info"]["title"]
    assert schema["info"]["version"]
    assert schema["info"]["license"] == {"name": "MIT"}


def test_operation_ids_are_unique(schema: dict[str, Any]) -> None:
    ids = [operation["operationId"] for item in schema["paths"].values() for operation in item.values()]
    assert len(ids) == len(set(ids))


def test_each_surface_has_a_group_of_its_own(schema: dict[str, Any]) -> None:
    groups = {route.surface.name: set(described(schema, route)["tags"]) for route in ROUTES}
    for route in ROUTES:
        groups[route.surface.name] |= set(described(schema, route)["tags"])
    assert all(len(tags) == 1 for tags in groups.values())
    named = [tag for tags in groups.values() for tag in tags]
    assert len(set(named)) == len(groups)
    assert set(named) < {tag["name"] for tag in schema["tags"]}
    assert all(tag["description"] for tag in schema["tags"])


@each_route
def test_each_route_needs_a_key_and_says_what_can_go_wrong(schema: dict[str, Any], route: Route) -> None:
    operation = described(schema, route)
    assert operation["summary"] == route.summary
    assert operation["security"] == [{"ApiKeyHeader": []}, {"BearerKey": []}, {"BasicKey": []}]
    wanted = {"200", "401", "403", "404", "429", "502", "503", "504"} | (
        {"400", "413", "415"} if has_body(route) else set()
    )
    assert wanted <= set(operation["responses"])
    assert {"ApiKeyHeader", "BearerKey", "BasicKey"} <= set(schema["components"]["securitySchemes"])
    for status, response in operation["responses"].items():
        if status != "200":
            named = schema["components"]["responses"][response["$ref"].rpartition("/")[2]]
            assert named["content"]["application/json"]["example"]


@each_route
def test_the_error_that_is_shown_has_the_form_of_the_real_one(
    gateway: GatewayServer, schema: dict[str, Any], route: Route
) -> None:
    path = re.sub(r"{\w+}", "x", route.path)
    real = httpx.request(route.method, f"{gateway.url}{path}")
    assert real.status_code == 401
    if route.method != "HEAD":
        name = described(schema, route)["responses"]["401"]["$ref"].rpartition("/")[2]
        shown = schema["components"]["responses"][name]["content"]["application/json"]
        assert form(shown["example"]) == form(real.json())
        assert set(shown["schema"]["properties"]) == set(real.json())


def form(value: Any) -> Any:
    """Returns an answer's form: its names, without what they hold."""
    return {name: form(inner) for name, inner in value.items()} if isinstance(value, dict) else None


FORMS = [row for row in ROUTES if row.kind == "transcribe"]
JSON_BODIES = [row for row in ROUTES if has_body(row) and row not in FORMS]


@pytest.mark.parametrize("route", FORMS, ids=lambda row: f"{row.method} {row.path}")
def test_a_form_is_shown_with_its_file(schema: dict[str, Any], route: Route) -> None:
    body = described(schema, route)["requestBody"]
    (shown,) = body["content"].values()
    assert list(body["content"]) == ["multipart/form-data"]
    assert shown["schema"]["properties"].keys() == {"file", *route.shape.types}
    assert shown["schema"]["required"] == ["file", "model"]
    assert shown["example"].keys() <= shown["schema"]["properties"].keys()


@pytest.mark.parametrize("route", JSON_BODIES, ids=lambda row: f"{row.method} {row.path}")
def test_the_requests_that_are_shown_are_accepted(schema: dict[str, Any], route: Route) -> None:
    content = described(schema, route)["requestBody"]["content"]["application/json"]
    shown = [example["value"] for example in content["examples"].values()]
    assert "…" not in json.dumps(shown, ensure_ascii=False)
    for asked in shown:
        assert asked
        assert read(route.shape, json.dumps(asked).encode()) == asked
    assert len(shown) == (2 if streams(route) else 1)


@pytest.mark.parametrize("route", [row for row in ROUTES if streams(row)], ids=lambda row: f"{row.method} {row.path}")
def test_streams_are_described_with_a_command_to_watch_one(
    gateway: GatewayServer, schema: dict[str, Any], route: Route
) -> None:
    operation = described(schema, route)
    assert f"curl -N {gateway.url}{route.path} " in operation["description"]
    streamed = operation["responses"]["200"]["content"][route.format.media_type]["example"]
    if route.format.media_type == "text/event-stream":
        assert streamed.endswith("\n\n")
        assert "data: " in streamed
    else:
        assert all(json.loads(line) for line in streamed.splitlines())


def test_the_first_three_endpoints_stream_events(schema: dict[str, Any]) -> None:
    generate = schema["paths"]["/api/v1/generate"]["post"]
    streamed = generate["responses"]["200"]["content"]["text/event-stream"]["example"]
    frames = [json.loads(frame.removeprefix("data: ")) for frame in streamed.split("\n\n") if frame]
    assert [frame["done"] for frame in frames] == [False, False, True]
    assert schema["paths"]["/api/v1/completions"]["post"]["responses"]["200"]["content"]["text/event-stream"][
        "example"
    ].endswith("data: [DONE]\n\n")


def test_it_names_no_other_place_than_this(gateway: GatewayServer, schema: dict[str, Any]) -> None:
    assert all(server["url"].startswith("/") for server in schema.get("servers", []))
    upstream = str(gateway.settings["OLLAMA_URL"])
    assert upstream not in json.dumps(schema)
    assert "localhost:8100" not in json.dumps(schema)


def test_its_commands_name_the_address_that_the_reader_used(gateway: GatewayServer) -> None:
    said = httpx.get(f"http://localhost:{gateway.port}/api/schema").json()
    assert f"http://localhost:{gateway.port}/" in said["paths"]["/api/v1/chat"]["post"]["description"]


def test_it_is_made_once() -> None:
    assert document() is document()
