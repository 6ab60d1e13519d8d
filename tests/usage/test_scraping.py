"""`GET /metrics`: for a key with the scope `metrics`, and for listed addresses."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from tests.harness import GatewayServer, wait_until
from tests.usage.filled import issue


def test_nobody_reads_them_without_a_key(gateway: GatewayServer) -> None:
    assert httpx.get(f"{gateway.url}/metrics").status_code == 401


def test_a_key_needs_the_scope(gateway: GatewayServer) -> None:
    answer = httpx.get(f"{gateway.url}/metrics", headers=gateway.headers)
    assert answer.status_code == 403
    assert "`metrics`" in answer.json()["message"]


def test_a_key_with_the_scope_reads_them(make_gateway: Callable[..., GatewayServer]) -> None:
    server = make_gateway()
    _, secret = issue(server, "prometheus", "metrics")
    answer = httpx.get(f"{server.url}/metrics", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "# TYPE ollama_gateway_requests_total counter" in answer.text.splitlines()
    assert answer.text.endswith("\n")


def test_a_key_bound_to_other_addresses_reads_nothing(make_gateway: Callable[..., GatewayServer]) -> None:
    server = make_gateway()
    key_id, secret = issue(server, "prometheus", "metrics")
    server.manage(
        "shell",
        "-c",
        f"from apikeys.models import Key; Key.objects.filter(key_id={key_id!r}).update(addresses='192.0.2.1')",
    )
    for path in ("/metrics", "/api/v1/usage"):
        wait_until(
            lambda path=path: httpx.get(f"{server.url}{path}", headers={"X-API-Key": secret}).status_code == 403, 5
        )


def test_a_listed_address_needs_no_key(make_gateway: Callable[..., GatewayServer]) -> None:
    assert httpx.get(f"{make_gateway(METRICS_ADDRESSES='127.0.0.0/8').url}/metrics").status_code == 200
    assert httpx.get(f"{make_gateway(METRICS_ADDRESSES='192.0.2.1').url}/metrics").status_code == 401


def test_a_listed_address_with_a_wrong_key_is_told_so(make_gateway: Callable[..., GatewayServer]) -> None:
    server = make_gateway(METRICS_ADDRESSES="127.0.0.1")
    answer = httpx.get(f"{server.url}/metrics", headers={"X-API-Key": "ollama_wrong"})
    assert answer.status_code == 401
