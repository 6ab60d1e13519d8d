"""A key's life through the front door: issued and revoked by commands, in another process than the one that serves."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from apikeys import keys
from apikeys.authentication import NO_KEY, NOT_VALID
from tests.harness import GatewayServer, wait_until


def ask(server: GatewayServer, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(f"{server.url}/api/v1/generate", json={"prompt": "Hi"}, headers=named, timeout=10)


def issue(server: GatewayServer, *options: str) -> str:
    return server.manage("createapikey", "fresh", "--quiet", *options).stdout.strip()


def test_a_key_works_the_moment_it_is_issued(gateway: GatewayServer) -> None:
    for _ in range(3):
        assert ask(gateway, X_API_Key=issue(gateway)).status_code == 200


def spellings(secret: str) -> list[dict[str, str]]:
    basic = b64encode(f"ana:{secret}".encode()).decode()
    return [
        {"X-API-Key": secret},
        {"x-api-key": secret},
        {"Authorization": f"Bearer {secret}"},
        {"authorization": f"bearer  {secret}"},
        {"Authorization": f"Basic {basic}"},
        {"AUTHORIZATION": f"BASIC {basic}"},
        {"X-API-Key": secret, "Authorization": f"Bearer {secret}"},
        {"X-API-Key": secret, "Authorization": f"Basic {basic}"},
    ]


# An endpoint of each dialect, and the way its errors carry the sentence for people.
DIALECTS = {
    "gateway": ("/api/v1/generate", {"prompt": "Hi"}),
    "ollama": ("/api/chat", {"model": "mistral", "messages": [{"role": "user", "content": "Hi"}], "stream": False}),
    "openai": ("/v1/chat/completions", {"model": "mistral", "messages": [{"role": "user", "content": "Hi"}]}),
    "anthropic": (
        "/v1/messages",
        {"model": "mistral", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]},
    ),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_spelling_of_a_key_is_one_decision(gateway: GatewayServer, dialect: str) -> None:
    path, body = DIALECTS[dialect]

    def status(headers: dict[str, str]) -> int:
        return httpx.post(f"{gateway.url}{path}", json=body, headers=headers, timeout=10).status_code

    unknown = keys.generate().text
    assert [status(headers) for headers in spellings(gateway.key)] == [200] * 8
    assert [status(headers) for headers in spellings(unknown)] == [401] * 8
    # A good key beside a bad one: whichever header is read first, the answer is no.
    for good in spellings(gateway.key)[:6]:
        for bad in spellings(unknown)[:6]:
            if {name.lower() for name in good}.isdisjoint(name.lower() for name in bad):
                assert status({**good, **bad}) == 401, (list(good), list(bad))
                assert status({**bad, **good}) == 401


def test_a_revoked_key_is_refused_within_a_second(gateway: GatewayServer) -> None:
    secret = issue(gateway)
    assert ask(gateway, X_API_Key=secret).status_code == 200
    gateway.manage("revokeapikey", keys.find_id(secret))
    wait_until(lambda: ask(gateway, X_API_Key=secret).status_code == 401, 1.0)
    assert ask(gateway, X_API_Key=gateway.key).status_code == 200


def test_an_expired_key_is_refused_at_once(gateway: GatewayServer) -> None:
    expires = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=6)
    secret = issue(gateway, "--expires", expires.isoformat())
    assert ask(gateway, X_API_Key=secret).status_code == 200
    time.sleep(max(0.0, expires.timestamp() - time.time()))
    assert ask(gateway, X_API_Key=secret).status_code == 401


def test_unknown_malformed_and_revoked_keys_get_the_same_answer(gateway: GatewayServer) -> None:
    revoked = issue(gateway)
    gateway.manage("revokeapikey", revoked)
    wait_until(lambda: ask(gateway, X_API_Key=revoked).status_code == 401, 1.0)
    answers = [ask(gateway, X_API_Key=key) for key in (revoked, keys.generate().text, "sk-1234", gateway.key[:-1])]
    for answer in answers:
        assert answer.status_code == 401
        assert answer.json() == {"error": "unauthorized", "message": NOT_VALID}
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert len({frozenset(answer.headers) for answer in answers}) == 1


def test_without_a_key_the_answer_says_how_to_send_one(gateway: GatewayServer) -> None:
    answer = ask(gateway)
    assert answer.status_code == 401
    assert answer.json() == {"error": "unauthorized", "message": NO_KEY}
    assert httpx.post(f"{gateway.url}/api/v1/generate?api_key={gateway.key}", json={"prompt": "Hi"}).status_code == 401


def test_a_header_sent_twice_is_refused(gateway: GatewayServer) -> None:
    for name, value in (("X-API-Key", gateway.key), ("Authorization", f"Bearer {gateway.key}")):
        answer = httpx.post(
            f"{gateway.url}/api/v1/generate", json={"prompt": "Hi"}, headers=[(name, value), (name, value)]
        )
        assert answer.status_code == 401


def test_two_keys_that_differ_are_refused(gateway: GatewayServer) -> None:
    answer = ask(gateway, X_API_Key=gateway.key, Authorization=f"Bearer {issue(gateway)}")
    assert answer.status_code == 401
    assert "two different keys" in answer.json()["message"]


def test_the_last_use_is_stored_when_the_server_stops(make_gateway: Callable[..., GatewayServer]) -> None:
    server = make_gateway()
    assert ask(server, X_API_Key=server.key).status_code == 200
    unused = server.manage("createapikey", "unused", "--quiet").stdout.strip()
    server.stop()
    never = {row.split()[1]: row.count("never") for row in server.manage("listapikeys").stdout.splitlines()[1:]}
    # One "never" is the expiry's.
    assert never == {"tests": 1, "unused": 2}, unused


def test_no_log_line_holds_a_key(make_gateway: Callable[..., GatewayServer]) -> None:
    server = make_gateway()
    invalid = keys.generate().text
    for key in (server.key, invalid):
        ask(server, X_API_Key=key)
        ask(server, Authorization=f"Bearer {key}")
    server.stop()
    for key in (server.key, invalid):
        assert key.split("_")[2] not in server.log()


@pytest.mark.long
def test_fifty_revocations_each_take_hold_within_a_second(gateway: GatewayServer) -> None:
    for _ in range(50):
        secret = issue(gateway)
        assert ask(gateway, X_API_Key=secret).status_code == 200
        gateway.manage("revokeapikey", secret)
        wait_until(lambda secret=secret: ask(gateway, X_API_Key=secret).status_code == 401, 1.0)
