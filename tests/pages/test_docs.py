"""`/docs` and `/api/docs`: Swagger UI without anything from elsewhere."""

from __future__ import annotations

import httpx
import pytest

from tests.harness import GatewayServer
from tests.pages.links import assert_our_own

both = pytest.mark.parametrize("path", ["/docs", "/api/docs"])


@both
def test_all_that_it_loads_comes_from_here(gateway: GatewayServer, path: str) -> None:
    answer = httpx.get(f"{gateway.url}{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    links = assert_our_own(answer.text)
    for address in {*links.loaded, *links.led_to}:
        assert httpx.get(f"{gateway.url}{address}", follow_redirects=True).status_code == 200, address


@both
def test_its_policy_lets_nothing_else_in(gateway: GatewayServer, path: str) -> None:
    answer = httpx.get(f"{gateway.url}{path}")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    allowed = {source for sources in policy.values() for source in sources.split()}
    assert allowed == {"'none'", "'self'", "data:"}
    assert policy["img-src"] == "'self' data:"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in answer.headers
