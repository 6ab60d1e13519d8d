"""Tokens in all, and tokens an answer: given in every way there is, and held to in every dialect."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx
import pytest

from benchmarks.stub_client import StubProcess
from tests.harness import GatewayServer, wait_until

MakeGateway = Callable[..., GatewayServer]


class Route(NamedTuple):
    """Where to ask, with what, where the cap stands for Ollama, and how an answer says that it reached it."""

    path: str
    fields: dict[str, Any]
    cap: str
    ends: list[bytes]


CHAT = {"messages": ["P"]}
ROUTES = [
    Route("/api/generate", {"prompt": "P"}, "options.num_predict", [b'"done_reason":"length"']),
    Route("/api/chat", CHAT, "options.num_predict", [b'"done_reason":"length"']),
    Route("/api/v1/generate", {"prompt": "P"}, "options.num_predict", [b'"done_reason":"length"']),
    Route("/v1/chat/completions", CHAT, "max_tokens", [b'"finish_reason":"length"', b"[DONE]"]),
    Route("/v1/completions", {"prompt": "P"}, "max_tokens", [b'"finish_reason":"length"', b"[DONE]"]),
    Route("/v1/messages", {**CHAT, "max_tokens": 5000}, "max_tokens", [b'"max_tokens"', b"message_stop"]),
    Route("/v1/responses", {"input": "P"}, "max_output_tokens", [b"response.incomplete", b'"max_output_tokens"']),
]
each_route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)


def body(fields: dict[str, Any], prompt: str) -> str:
    """A streaming request whose P is the prompt."""
    text = json.dumps({"model": "stub", "stream": True, **fields})
    return text.replace('["P"]', json.dumps([{"role": "user", "content": prompt}])).replace('"P"', json.dumps(prompt))


def ask(server: GatewayServer, path: str, key: str, fields: dict[str, Any], prompt: str) -> httpx.Response:
    headers = {"X-API-Key": key, "Content-Type": "application/json"}
    return httpx.post(f"{server.url}{path}", headers=headers, content=body(fields, prompt), timeout=30)


def issue(server: GatewayServer, *options: str) -> str:
    return server.manage("createapikey", "limited", *options, "--quiet").stdout.strip()


@pytest.fixture(scope="module")
def brief(gateway: GatewayServer) -> str:
    """A key whose answers have seven tokens at most."""
    return issue(gateway, "--output-tokens", "7")


@each_route
def test_a_limit_on_answers_lowers_the_cap_and_ends_in_the_dialects_own_way(
    gateway: GatewayServer, brief: str, stub: StubProcess, route: Route
) -> None:
    prompt = f"capped at {route.path} one two three four five six seven eight nine ten"
    answer = ask(gateway, route.path, brief, route.fields, prompt)
    assert answer.status_code == 200, answer.text
    sent = [request for request in stub.requests() if f"capped at {route.path} one".encode() in request.body][-1].json()
    for name in route.cap.split("."):
        sent = sent[name]
    assert sent == 7
    # Ollama calls a response completed, whatever ended it.
    ends = [b'"output_tokens":7'] if route.path == "/v1/responses" else route.ends
    assert all(end in answer.content for end in ends), answer.content[-600:]
    assert f"{route.cap}=7" in answer.headers["x-gateway-changed"]


@each_route
def test_an_ollama_that_knows_no_cap_is_cut_a_step_later(gateway: GatewayServer, brief: str, route: Route) -> None:
    answer = ask(gateway, route.path, brief, route.fields, "a b [[endless=1]]")
    assert all(end in answer.content for end in route.ends), answer.content[-600:]


def test_a_smaller_cap_of_the_request_stays(gateway: GatewayServer, brief: str) -> None:
    fields = {"prompt": "P", "options": {"num_predict": 3}}
    answer = ask(gateway, "/api/generate", brief, fields, "one two three four five six")
    assert json.loads(answer.text.splitlines()[-1])["eval_count"] == 3
    assert "x-gateway-changed" not in answer.headers


@each_route
def test_a_total_is_spent_once_and_does_not_come_back(gateway: GatewayServer, route: Route) -> None:
    key = issue(gateway, "--tokens-total", "8")
    assert ask(gateway, route.path, key, route.fields, "one two three four").status_code == 200
    refused = ask(gateway, route.path, key, route.fields, "five")
    assert refused.status_code == 429
    assert refused.headers["x-should-retry"] == "false"
    assert "retry-after" not in refused.headers
    assert "does not come back" in refused.text


def test_a_spent_total_stays_spent_over_a_restart_until_it_is_raised(make_gateway: MakeGateway) -> None:
    server = make_gateway(DEFAULT_TOKENS_TOTAL=8)
    generate = ("/api/generate", server.key, {"prompt": "P"})
    assert ask(server, *generate, "one two three four").status_code == 200
    server.stop()
    server.start()
    assert ask(server, *generate, "five").status_code == 429
    server.manage("changeapikey", server.key.split("_")[1], "--tokens-total", "100")
    wait_until(lambda: ask(server, *generate, "five").status_code == 200, 1)


def test_both_are_given_by_every_way_to_give_limits(make_gateway: MakeGateway) -> None:
    server = make_gateway(DEFAULT_OUTPUT_TOKENS=9)
    wanted = {"tokens_total": 500, "output_tokens": 7}
    operator = server.manage("createapikey", "operator", "--scopes", "inference,keys", "--quiet").stdout.strip()
    with httpx.Client(base_url=f"{server.url}/api/v1", headers={"X-API-Key": operator}) as api:
        made = api.post("/keys", json={"label": "of the API", "limits": wanted}).json()
        assert made["limits"] == wanted
        path = f"/keys/{made['id']}"
        assert api.patch(path, json={"limits": {"tokens_total": 10**16}}).status_code == 400
        assert api.patch(path, json={"limits": {"tokens_total": None}}).json()["limits"] == {"output_tokens": 7}
        rooms = api.get("/usage").json()["limits"]
        assert [(room["dimension"], room["limit"]) for room in rooms] == [("output_tokens", 9)]
    listed = {key["label"]: key["limits"] for key in json.loads(server.manage("listapikeys", "--json").stdout)}
    assert listed["of the API"] == {"output_tokens": 7}

    rows = server.folder / "keys.csv"
    rows.write_text("label,tokens_total,output_tokens\nimported,500,7\n")
    server.manage("importapikeys", str(rows), "--yes")
    listed = {key["label"]: key["limits"] for key in json.loads(server.manage("listapikeys", "--json").stdout)}
    assert listed["imported"] == wanted
    rows.write_text("label,tokens_total\nwrong,-1\n")
    done = server.manage("importapikeys", str(rows), "--yes", check=False)
    assert done.returncode == 1
    assert "Row 1" in done.stderr
    assert "Traceback" not in done.stderr

    assert "tokens_total=500" in server.manage("limit", "team:lab", "tokens_total=500", "output_tokens=7").stdout
    schema = httpx.get(f"{server.url}/api/schema").json()["components"]["schemas"]["LimitFields"]["properties"]
    assert set(wanted) < set(schema)
