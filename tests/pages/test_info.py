"""`/api/info`: what the gateway is and serves, for programs without a key."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from gateway import __version__
from proxy.routes import ROUTES
from tests.harness import GatewayServer


def test_it_tells_name_version_and_default_model(make_gateway: Callable[..., GatewayServer]) -> None:
    answer = httpx.get(f"{make_gateway(OLLAMA_MODEL='gemma3:4b').url}/api/info")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    said = answer.json()
    assert (said["name"], said["version"], said["default_model"]) == ("Ollama gateway", __version__, "gemma3:4b")


def test_it_lists_every_route_and_that_it_takes_a_key(gateway: GatewayServer) -> None:
    listed = {(row["method"], row["path"]): row for row in httpx.get(f"{gateway.url}/api/info").json()["endpoints"]}
    for route in ROUTES:
        assert listed[route.method, route.path] == {
            "method": route.method,
            "path": route.path,
            "summary": route.summary,
            "key": True,
        }


def test_what_it_lists_as_open_is_open(gateway: GatewayServer) -> None:
    open_rows = [row for row in httpx.get(f"{gateway.url}/api/info").json()["endpoints"] if not row["key"]]
    assert {row["path"] for row in open_rows} >= {"/health", "/health/ready", "/api/info", "/api/schema"}
    for row in open_rows:
        assert httpx.request(row["method"], f"{gateway.url}{row['path']}").status_code == 200


def test_its_docs_are_where_it_says(gateway: GatewayServer) -> None:
    docs = httpx.get(f"{gateway.url}/api/info").json()["docs"]
    assert httpx.get(f"{gateway.url}{docs['html']}").headers["content-type"].startswith("text/html")
    assert httpx.get(f"{gateway.url}{docs['openapi']}").json()["openapi"]
