"""The account through the front door: what a client did is in the reports, whatever happens to the server."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.harness import GatewayServer, wait_until
from tests.usage.filled import issue


def ask(server: GatewayServer, key: str, **body: Any) -> httpx.Response:
    asked = {"model": "mistral", "prompt": "Hi", "stream": False, **body}
    return httpx.post(f"{server.url}/api/generate", headers={"X-API-Key": key}, json=asked, timeout=30)


def report(server: GatewayServer, key: str) -> dict[str, Any]:
    answer = httpx.get(f"{server.url}/api/v1/usage", headers={"X-API-Key": key}, timeout=10)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


def requests(server: GatewayServer, key: str) -> int:
    count: int = report(server, key)["total"]["requests"]
    return count


def test_what_was_used_is_reported_within_a_moment(make_gateway: Callable[..., GatewayServer]) -> None:
    server = make_gateway()
    said = ask(server, server.key).json()
    wait_until(lambda: requests(server, server.key) == 1, 5)
    line = report(server, server.key)["usage"][0]
    assert (line["model"].removesuffix(":latest"), line["requests"], line["errors"]) == ("mistral", 1, 0)
    assert (line["prompt_tokens"], line["completion_tokens"]) == (said["prompt_eval_count"], said["eval_count"])
    assert line["gpu_seconds"] > 0
    for model in ("mistral", line["model"]):
        answer = httpx.get(f"{server.url}/api/v1/usage", headers=server.headers, params={"model": model})
        assert answer.json()["total"]["requests"] == 1


def test_a_call_is_its_teams_that_has_its_key_when_it_ends(make_gateway: Callable[..., GatewayServer]) -> None:
    server = make_gateway()
    manager = issue(server, "manager", "inference,keys,manage")[1]
    key_id, key = issue(server, "moved")
    asked = {"model": "mistral", "prompt": "[[chunks=400 interval_ms=5]]", "options": {"num_predict": 400}}
    with (
        httpx.Client(base_url=server.url, headers={"X-API-Key": manager}) as keys,
        httpx.stream("POST", f"{server.url}/api/generate", headers={"X-API-Key": key}, json=asked) as answer,
    ):
        lines = answer.iter_lines()
        next(lines)
        moved = keys.patch(f"/api/v1/keys/{key_id}", json={"team": "blue"})
        assert moved.status_code == 200, moved.text
        assert b'"done":true' in list(lines)[-1].encode()
        wait_until(lambda: keys.get("/api/v1/usage", params={"by": "team", "key": key_id}).json()["usage"] != [], 5)
        usage = keys.get("/api/v1/usage", params={"by": "team", "key": key_id}).json()["usage"]
    assert [(line["team"], line["requests"], line["completion_tokens"]) for line in usage] == [("blue", 1, 400)]


def test_a_key_was_last_used_when_its_latest_recorded_call_ended(make_gateway: Callable[..., GatewayServer]) -> None:
    server = make_gateway(DEFAULT_REQUESTS_PER_MINUTE=1)

    def last_used() -> str | None:
        said: dict[str, str | None] = httpx.get(f"{server.url}/api/v1/key", headers=server.headers).json()
        return said["last_used"]

    httpx.get(f"{server.url}/api/tags", headers=server.headers)
    assert last_used() is None, "lists are in no account"
    ask(server, server.key)
    wait_until(lambda: last_used() is not None, 5)
    first = last_used()
    assert ask(server, server.key).status_code == 429
    requests(server, server.key)
    assert last_used() == first


def test_limits_and_what_is_left_of_them_are_reported(make_gateway: Callable[..., GatewayServer]) -> None:
    server = make_gateway(DEFAULT_TOKENS_PER_DAY=1000, DEFAULT_REQUESTS_PER_MINUTE=50)
    said = ask(server, server.key).json()
    limits = {one["dimension"]: one for one in report(server, server.key)["limits"]}
    day = limits["tokens_per_day"]
    assert (day["of"], day["limit"]) == ("key", 1000)
    assert day["left"] == 1000 - said["prompt_eval_count"] - said["eval_count"]
    assert 0 < day["resets_in_seconds"] <= 86_400
    assert limits["requests_per_minute"]["left"] == 49


def test_a_call_is_in_the_metrics(make_gateway: Callable[..., GatewayServer]) -> None:
    server = make_gateway(METRICS_ADDRESSES="127.0.0.1")
    ask(server, server.key)
    httpx.post(f"{server.url}/api/generate", json={})
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    route = 'route="POST /api/generate"'
    assert f'ollama_gateway_requests_total{{{route},status="200",ended="done"}} 1' in lines
    assert f"ollama_gateway_request_seconds_count{{{route}}} 2" in lines
    assert "ollama_gateway_in_flight 0" in lines
    assert any(line.startswith("ollama_gateway_refusals_total{reason=") for line in lines)
    assert not any(server.key[7:19] in line for line in lines)


def test_a_failure_of_ollama_is_counted_once_wherever_in_the_answer_it_comes(
    make_gateway: Callable[..., GatewayServer],
) -> None:
    server = make_gateway(METRICS_ADDRESSES="127.0.0.1")
    for knob in ("status=500", "error_after=2", "eof_after=2", "die_after=0"):
        ask(server, server.key, prompt=f"one two three [[{knob}]]", stream=True)
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    failures = [line for line in lines if line.startswith("ollama_gateway_upstream_errors_total{")]
    assert sum(int(line.split()[1]) for line in failures) == 4


def test_a_stop_leaves_nothing_in_the_journal(make_gateway: Callable[..., GatewayServer]) -> None:
    server = make_gateway()
    ask(server, server.key)
    server.stop()
    assert [path.name for path in journal(server).glob("*.jsonl")] == []
    server.start()
    assert requests(server, server.key) == 1


def test_a_killed_servers_calls_are_counted_once_at_the_next_start(
    make_gateway: Callable[..., GatewayServer], stub: Any
) -> None:
    server = make_gateway(DEFAULT_TOKENS_PER_DAY=100_000)
    _, other = issue(server, "other")
    wait_until(lambda: ask(server, other).status_code == 200, 5)
    for _ in range(3):
        ask(server, server.key)
    begun = threading.Event()

    def hang() -> None:
        body = {"model": "mistral", "prompt": "Hi", "options": {"num_predict": 100_000}}
        try:
            with httpx.stream("POST", f"{server.url}/api/generate", headers=server.headers, json=body) as answer:
                for _ in answer.iter_raw():
                    begun.set()
        except httpx.HTTPError:
            begun.set()

    client = threading.Thread(target=hang)
    client.start()
    assert begun.wait(10)
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    client.join()
    server.start()
    said = report(server, server.key)["total"]
    assert said["requests"] == 4
    assert said["lost"] <= 1
    server.stop()
    server.start()
    assert report(server, server.key)["total"] == said


def test_a_restart_lets_nobody_ask_more_than_a_minute_allows(make_gateway: Callable[..., GatewayServer]) -> None:
    server = make_gateway(DEFAULT_REQUESTS_PER_MINUTE=5)
    assert [ask(server, server.key).status_code for _ in range(4)] == [200] * 4
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    server.start()
    assert [ask(server, server.key).status_code for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("times", [3])
def test_records_say_what_the_log_says(make_gateway: Callable[..., GatewayServer], times: int) -> None:
    server = make_gateway()
    ids = {ask(server, server.key).headers["X-Request-ID"] for _ in range(times)}
    wait_until(lambda: requests(server, server.key) == times, 5)
    code = "from usage.models import UsageRecord; print(*UsageRecord.objects.values_list('request_id', flat=True))"
    assert set(server.manage("shell", "-v", "0", "-c", code).stdout.split()) == ids


def journal(server: GatewayServer) -> Path:
    return Path(server.settings["JOURNAL_DIR"])
