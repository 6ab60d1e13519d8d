"""A failing client can be debugged: its calls are found with what went wrong, in the log, the admin and the command."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from benchmarks.stub_client import StubProcess
from tests.harness import ADMIN_PASSWORD, GatewayServer, wait_until
from tests.proxy.wire import ask
from tests.usage.filled import issue
from usage.refused_calls import KEPT_AT_ONCE

CHAT = "/v1/chat/completions"
USER_AGENT = "test-client/1.2 (linux; peculiaragent)"


@pytest.fixture(scope="module")
def server(stub: StubProcess) -> Iterator[GatewayServer]:
    """A gateway with JSON logs and a body limit."""
    settings = {"APP_ENV": "production", "ALLOWED_HOSTS": "127.0.0.1", "TLS": "off"}
    with GatewayServer(ollama_url=stub.url, MAX_BODY_BYTES=20_000, UPSTREAM_IDLE_TIMEOUT=0.5, **settings) as gateway:
        yield gateway


def calls(server: GatewayServer, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(server.manage("calls", "--json", *options).stdout)
    return found


def call_of(server: GatewayServer, request_id: str) -> dict[str, Any]:
    """Waits for the record of a request."""
    found: list[dict[str, Any]] = []

    def is_there() -> bool:
        found[:] = calls(server, "--id", request_id)
        return bool(found)

    wait_until(is_there, 20, server.log)
    (call,) = found
    return call


def logged(server: GatewayServer, request_id: str) -> dict[str, Any]:
    def lines() -> list[str]:
        return [line for line in server.log().splitlines() if f'"request_id":"{request_id}"' in line]

    wait_until(lambda: bool(lines()), 5, server.log)
    (line,) = lines()
    facts: dict[str, Any] = json.loads(line)
    return facts


class Case(NamedTuple):
    """A request, and what is to be found of it."""

    name: str
    body: Any
    status: int
    error: str
    reason: str
    path: str = CHAT


def chat(content: str = "peculiarprompt", **more: Any) -> dict[str, Any]:
    return {"model": "mistral", "messages": [{"role": "user", "content": content}], **more}


CASES = [
    Case("served", chat(), 200, "", ""),
    Case("body", chat(messages="peculiarprompt"), 400, "bad_request", "'messages' must be an array."),
    Case("json", b'{"messages": [peculiarprompt', 400, "bad_request", "The body is not valid JSON"),
    Case("model", chat(model="missing"), 404, "model_not_found", "'missing' not found"),
    Case("path", chat(), 404, "not_found", "", "/v1/v1/chat/completions"),
    Case("method", {}, 405, "method_not_allowed", "POST", "/api/tags"),
    Case("scope", {"model": "mistral"}, 403, "forbidden", "the scope 'manage'", "/api/pull"),
    Case("size", b" " * 30_000, 413, "payload_too_large", "larger than 20000 bytes"),
    Case("crash", chat("peculiarprompt [[status=500]]"), 500, "internal_error", "runner has unexpectedly stopped"),
    Case("stream", chat("[[chunks=9 error_after=2]]", stream=True), 200, "upstream_failed", "before its end"),
    Case("silent", chat("[[chunks=9 hang_after=2]]", stream=True), 200, "upstream_timeout", "silent for 0.5 seconds"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_call_is_found_with_what_went_wrong(server: GatewayServer, case: Case) -> None:
    request_id = f"debug-{case.name}"
    answer = ask(server, case.path, case.body, X_Request_ID=request_id, User_Agent=USER_AGENT)
    assert answer.status == case.status
    call, line = call_of(server, request_id), logged(server, request_id)
    for said, library in ((call, "client_library"), (line, "user_agent")):
        assert (said["status"], said["error"] or "") == (case.status, case.error)
        assert case.reason in (said["reason"] or "")
        assert said[library] == "test-client/1.2"
        assert said["label"] == "tests"
    assert call["key"] == server.key.split("_")[1]
    assert line["level"] == "info"
    assert "peculiar" not in json.dumps(call) + server.log()


def test_a_client_that_leaves_is_found(server: GatewayServer) -> None:
    body = json.dumps(chat("[[hang_after=0]]")).encode()
    with socket.create_connection((server.host, server.port)) as client:
        client.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Request-ID: debug-left\r\n"
            + f"X-API-Key: {server.key}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
    call = call_of(server, "debug-left")
    assert (call["status"], call["ended"], call["error"]) == (499, "left", "client_left")


def test_a_call_without_a_valid_key_leaves_no_record(server: GatewayServer) -> None:
    ask(server, CHAT, chat(), key=False, X_Request_ID="debug-nokey")
    assert logged(server, "debug-nokey")["error"] == "unauthorized"
    ask(server, CHAT, {"messages": 1}, X_Request_ID="debug-behind")
    call_of(server, "debug-behind")
    assert calls(server, "--id", "debug-nokey") == []


def test_the_key_api_says_whose_call_failed(server: GatewayServer) -> None:
    answer = httpx.get(f"{server.url}/api/v1/keys", headers={**server.headers, "X-Request-ID": "debug-keys"})
    assert answer.status_code == 403
    assert call_of(server, "debug-keys")["error"] == "forbidden"
    assert logged(server, "debug-keys")["label"] == "tests"


def test_a_long_request_id_is_found(server: GatewayServer) -> None:
    request_id = "debug-" + "x" * 110
    assert ask(server, CHAT, {"messages": 1}, X_Request_ID=request_id).status == 400
    assert request_id.startswith(call_of(server, request_id)["request_id"])


def test_a_page_that_is_not_there_has_its_error_in_the_log(server: GatewayServer) -> None:
    httpx.get(f"{server.url}/static/nothing.css", headers={"X-Request-ID": "debug-page"})
    line = logged(server, "debug-page")
    assert (line["status"], line["ended"], line["error"]) == (404, "refused", "not_found")


def test_of_a_flood_some_are_kept_and_all_are_counted(make_gateway: Callable[..., GatewayServer]) -> None:
    server = make_gateway(DEFAULT_REQUESTS_PER_MINUTE=1)
    flood = KEPT_AT_ONCE + 40
    with httpx.Client(base_url=server.url, headers=server.headers) as client:
        statuses = [client.post(CHAT, json=chat()).status_code for _ in range(flood + 1)]
    assert statuses == [200] + [429] * flood

    def kept() -> int:
        return len(calls(server, "--status", "429", "--last", "1000"))

    wait_until(lambda: kept() >= KEPT_AT_ONCE, 20, server.log)
    assert kept() < flood
    said = server.manage("calls", "--status", "429", "--error", "rate_limited").stderr
    wait_until(lambda: f"of {flood} refused calls have no record" in said, 1, lambda: said)
    # The sums and the limits know of one call.
    usage = httpx.get(f"{server.url}/api/v1/usage", headers=server.headers).json()
    assert usage["total"]["requests"] == 1
    # A restart finds no refused call among those of the last minute.
    server.stop()
    server.start()
    assert httpx.post(f"{server.url}{CHAT}", headers=server.headers, json=chat()).status_code == 429


def test_the_admin_finds_a_call_by_whatever_is_known_of_it(server: GatewayServer) -> None:
    key_id, secret = issue(server, "searchable thing")
    headers = {"X-API-Key": secret, "X-Request-ID": "debug-search", "User-Agent": "finder/3"}
    httpx.post(f"{server.url}{CHAT}", headers=headers, json=chat(model="missing"))
    call_of(server, "debug-search")
    with httpx.Client(base_url=server.url) as browser:
        page = browser.get("/admin/login/")
        token = page.text.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
        form = {"username": "admin", "password": ADMIN_PASSWORD, "csrfmiddlewaretoken": token}
        browser.post("/admin/login/", data=form, headers={"Referer": f"{server.url}/admin/login/"})
        for term in ("debug-search", key_id, secret, "searchable thing", "SEARCHABLE 404", "finder", "404 searchable"):
            found = browser.get("/admin/usage/usagerecord/", params={"q": term}).text
            assert "debug-search" in found, term
            assert "debug-body" not in found, term
        for term in ("debug-search nothing", "nothing at all", "9" * 400, "é" * 99, "2026-13-45", "0001-01-01"):
            answer = browser.get("/admin/usage/usagerecord/", params={"q": term})
            assert answer.status_code == 200, term
        for query in (
            "status=429",
            "status=4xx",
            "status=failed",
            "status=" + "9" * 30,
            "owner=" + "9" * 30,
            "owner=x",
            "day=9999-12-31",
            "day=0001-01-01",
            "day=x",
            "model=%20",
            "team=%F0%9F%98%80",
            "error=x",
            "day=today&status=404&model=mistral",
        ):
            assert browser.get(f"/admin/usage/usagerecord/?{query}").status_code == 200, query


def test_the_command_refuses_what_can_not_be(server: GatewayServer) -> None:
    for options in (
        ("--key", "nosuchkey"),
        ("--owner", "nobody"),
        ("--status", "teapot"),
        ("--last", "0"),
        ("--day", "2026-02-30"),
        ("--since", "2026-11-28", "--until", "2026-11-27"),
    ):
        done = server.manage("calls", *options, check=False)
        assert done.returncode != 0, options
        assert "Traceback" not in done.stderr
    assert server.manage("calls", "--day", "9999-12-31").stdout.strip() == "No matching calls."
    assert server.manage("calls", "--since", "0001-01-01").returncode == 0


def test_every_line_of_a_production_log_is_json_with_time_and_level(server: GatewayServer) -> None:
    ask(server, CHAT, chat())
    httpx.get(f"{server.url}/nowhere", headers={"Host": "evil.example"})
    lines = server.log().splitlines()
    assert len(lines) > 5
    for line in lines:
        said = json.loads(line)
        assert {"time", "level"} <= said.keys(), line
    assert any(said.get("message", "").startswith("API http") for said in map(json.loads, lines))
