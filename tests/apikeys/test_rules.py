"""What a key may do is enforced in every dialect and on every listing."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from tests.apikeys.dialects import ENDPOINTS, ask, error_text
from tests.harness import GatewayServer

DIALECTS = pytest.mark.parametrize("dialect", ENDPOINTS)


def issue(server: GatewayServer, *options: str) -> str:
    return server.manage("createapikey", "ruled", "--quiet", *options).stdout.strip()


@pytest.fixture(scope="session")
def mistral_key(gateway: GatewayServer) -> str:
    """A key for one model."""
    return issue(gateway, "--models", "mistral")


@DIALECTS
def test_a_model_that_a_key_may_not_use_does_not_exist_for_it(
    gateway: GatewayServer, mistral_key: str, dialect: str
) -> None:
    assert ask(gateway, mistral_key, dialect, model="mistral").status_code == 200
    refused = ask(gateway, mistral_key, dialect, model="llama3.2")
    absent = ask(gateway, mistral_key, dialect, model="no-such-model")
    assert refused.status_code == absent.status_code == 404
    assert error_text(refused, dialect) == error_text(absent, dialect).replace("no-such-model", "llama3.2")


@pytest.mark.parametrize(
    ("path", "field", "name"),
    [("/api/tags", "models", "name"), ("/v1/models", "data", "id"), ("/api/ps", "models", "name")],
)
def test_a_listing_shows_what_a_key_may_use_and_nothing_else(
    gateway: GatewayServer, path: str, field: str, name: str
) -> None:
    every = httpx.get(f"{gateway.url}{path}", headers=gateway.headers).json()[field]
    for models, expected in ((every[0][name], every[:1]), ("another-model", [])):
        secret = issue(gateway, "--models", models)
        assert httpx.get(f"{gateway.url}{path}", headers={"X-API-Key": secret}).json()[field] == expected
    assert path == "/api/ps" or len(every) > 1


@DIALECTS
def test_a_key_bound_to_a_dialect_is_refused_in_the_others(gateway: GatewayServer, dialect: str) -> None:
    secret = issue(gateway, "--routes", dialect)
    for other in ENDPOINTS:
        answer = ask(gateway, secret, other)
        assert answer.status_code == (200 if other == dialect else 403), other
        if other != dialect:
            assert "may not use this endpoint" in error_text(answer, other)


def test_a_key_bound_to_paths_is_refused_on_others(gateway: GatewayServer) -> None:
    secret = issue(gateway, "--routes", "/api/chat,/v1/models*")
    assert ask(gateway, secret, "ollama").status_code == 200
    assert ask(gateway, secret, "openai").status_code == 403
    listed = httpx.get(f"{gateway.url}/v1/models", headers={"X-API-Key": secret}).json()["data"][0]["id"]
    for path, status in (("/v1/models", 200), (f"/v1/models/{listed}", 200), ("/api/tags", 403)):
        assert httpx.get(f"{gateway.url}{path}", headers={"X-API-Key": secret}).status_code == status, path


@DIALECTS
def test_a_key_bound_to_other_addresses_is_refused(gateway: GatewayServer, dialect: str) -> None:
    elsewhere = issue(gateway, "--addresses", "192.0.2.0/24, 2001:db8::/32")
    here = issue(gateway, "--addresses", "192.0.2.0/24 127.0.0.0/8")
    refused = ask(gateway, elsewhere, dialect)
    assert refused.status_code == 403
    assert "from your address" in error_text(refused, dialect)
    assert ask(gateway, here, dialect).status_code == 200


def test_a_forwarded_address_is_believed_from_a_trusted_proxy_alone(
    gateway: GatewayServer, make_gateway: Callable[..., GatewayServer]
) -> None:
    trusting = make_gateway(TRUSTED_PROXIES="127.0.0.1")
    forwarded = {"X-Forwarded-For": "2001:db8::7"}
    for server, status in ((gateway, 403), (trusting, 200)):
        secret = issue(server, "--addresses", "2001:db8::/32")
        assert ask(server, secret, headers=forwarded).status_code == status
        assert ask(server, secret).status_code == 403
        # What a client puts in front of its own address is not what the proxy saw.
        spoofed = {"X-Forwarded-For": "2001:db8::7, 203.0.113.9"}
        assert ask(server, secret, headers=spoofed).status_code == 403


@DIALECTS
def test_a_key_can_have_a_smaller_limit_on_bodies(gateway: GatewayServer, dialect: str) -> None:
    secret = issue(gateway, "--body-limit", "2000")
    assert ask(gateway, secret, dialect).status_code == 200
    refused = ask(gateway, secret, dialect, text="x" * 2000)
    assert refused.status_code == 413
    assert "2000 bytes" in error_text(refused, dialect)
    assert ask(gateway, gateway.key, dialect, text="x" * 2000).status_code == 200


def test_a_body_without_a_length_is_held_to_the_limit_too(gateway: GatewayServer) -> None:
    secret = issue(gateway, "--body-limit", "2000")
    parts = (b"x" * 500 for _ in range(5))
    answer = httpx.post(f"{gateway.url}/api/chat", content=parts, headers={"X-API-Key": secret})
    assert answer.status_code == 413


def test_managing_models_needs_the_scope(gateway: GatewayServer) -> None:
    plain, manager = issue(gateway), issue(gateway, "--scopes", "manage")
    body = {"source": "mistral", "destination": "mine"}
    asked = {
        secret: httpx.post(f"{gateway.url}/api/copy", json=body, headers={"X-API-Key": secret})
        for secret in (plain, manager)
    }
    assert asked[plain].status_code == 403
    assert "manage" in asked[plain].json()["error"]
    assert asked[manager].status_code == 200
    # A scope is no ladder: whoever may manage may not therefore ask.
    assert ask(gateway, manager).status_code == 403
