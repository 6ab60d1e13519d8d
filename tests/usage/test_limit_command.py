from __future__ import annotations

from collections.abc import Callable

import httpx

from tests.harness import GatewayServer, wait_until

MakeGateway = Callable[..., GatewayServer]


def ask(server: GatewayServer, key: str) -> int:
    body = {"model": "stub", "prompt": "x"}
    return httpx.post(f"{server.url}/api/v1/generate", headers={"X-API-Key": key}, json=body).status_code


def limited(server: GatewayServer, key: str) -> bool:
    """Whether the running server has heard of a limit of the key's: it says what is left of it."""
    answer = httpx.get(f"{server.url}/api/version", headers={"X-API-Key": key})
    return "ratelimit" in answer.headers


def test_a_teams_limit_is_shared_by_its_keys_and_holds_at_once(make_gateway: MakeGateway) -> None:
    server = make_gateway()
    keys = [server.manage("createapikey", name, "--team", "lab", "--quiet").stdout.strip() for name in ("a", "b")]
    said = server.manage("limit", "team:lab", "requests_per_minute=3").stdout
    assert "team:lab: requests_per_minute=3" in said
    wait_until(lambda: limited(server, keys[0]), 1)
    assert [ask(server, keys[number % 2]) for number in range(4)] == [200, 200, 200, 429]
    assert ask(server, server.key) == 200
    server.manage("limit", "team:lab", "requests_per_minute=0")
    wait_until(lambda: not limited(server, keys[0]), 1)
    assert ask(server, keys[0]) == 200


def test_an_owners_limit_is_shared_by_his_keys(make_gateway: MakeGateway) -> None:
    server = make_gateway()
    keys = [server.manage("createapikey", name, "--owner", "admin", "--quiet").stdout.strip() for name in ("a", "b")]
    server.manage("limit", "owner:admin", "requests_per_minute=1")
    wait_until(lambda: limited(server, keys[0]), 1)
    assert [ask(server, key) for key in keys] == [200, 429]


def test_a_limit_that_limits_no_key_says_so_and_whom_keys_belong_to(make_gateway: MakeGateway) -> None:
    server = make_gateway()
    server.manage("createapikey", "a", "--team", "lab", "--owner", "admin", "--quiet")
    typo = server.manage("limit", "team:lap", "requests_per_minute=3").stdout
    assert typo.endswith("No key belongs to team:lap. Keys belong to team:lab, owner:admin.\n")
    for right in ("team:lab", "owner:admin"):
        assert "No key" not in server.manage("limit", right, "requests_per_minute=3").stdout
    assert "No key" not in server.manage("limit", "team:lap", "requests_per_minute=0").stdout


def test_limits_are_listed_and_nonsense_is_told(make_gateway: MakeGateway) -> None:
    server = make_gateway()
    assert "No owner and no team" in server.manage("limit").stdout
    server.manage("limit", "team:lab", "tokens-per-day=10")
    assert server.manage("limit").stdout == "team:lab  tokens_per_day=10\n"
    for wrong in (["lab"], ["team:lab", "tokens=1"], ["team:lab", "concurrency=-1"], ["owner:nobody", "concurrency=1"]):
        done = server.manage("limit", *wrong, check=False)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
