from __future__ import annotations

import json
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.stub_client import StubProcess
from tests.harness import GatewayServer

MakeGateway = Callable[..., GatewayServer]
SLOW = "word [[chunks=40 interval_ms=50]]"


def generate(server: GatewayServer, prompt: str = "Hello", **more: Any) -> httpx.Response:
    body = {"model": "stub", "prompt": prompt, **more}
    return httpx.post(f"{server.url}/api/v1/generate", headers=server.headers, json=body, timeout=30)


def lines_of(server: GatewayServer) -> list[dict[str, Any]]:
    paths = sorted(Path(server.folder, "journal").glob("*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_bytes().splitlines()]


def test_of_fifty_requests_at_once_exactly_the_limit_is_admitted(make_gateway: MakeGateway) -> None:
    server = make_gateway(DEFAULT_REQUESTS_PER_MINUTE=10)
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: generate(server), range(50)))
    assert Counter(answer.status_code for answer in answers) == {200: 10, 429: 40}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert refused.json()["error"] == "rate_limited"


def test_an_answer_says_what_is_left_in_all_three_spellings(make_gateway: MakeGateway) -> None:
    server = make_gateway(DEFAULT_REQUESTS_PER_MINUTE=10, DEFAULT_TOKENS_PER_DAY=1000)
    body = {"model": "stub", "max_tokens": 5, "messages": [{"role": "user", "content": "one two"}]}
    headers = httpx.post(f"{server.url}/v1/messages", headers=server.headers, json=body).headers
    assert headers["ratelimit-policy"] == '"requests_per_minute";q=10;w=60, "tokens_per_day";q=1000;w=86400'
    assert headers["ratelimit"].startswith('"requests_per_minute";r=9;t=60, "tokens_per_day";r=996;t=')
    assert headers["x-ratelimit-remaining-requests"] == "9"
    assert headers["x-ratelimit-remaining-tokens"] == "996"
    assert headers["anthropic-ratelimit-tokens-limit"] == "1000"
    assert headers["anthropic-ratelimit-requests-reset"].endswith("Z")


def test_a_key_without_limits_hears_nothing_of_them(gateway: GatewayServer) -> None:
    assert not [name for name in generate(gateway).headers if "ratelimit" in name]


def test_the_cap_that_ollama_gets_is_what_is_left(make_gateway: MakeGateway, stub: StubProcess) -> None:
    server = make_gateway(DEFAULT_TOKENS_PER_DAY=60)
    answer = generate(server, "left over", options={"num_predict": 500})
    assert answer.status_code == 200
    sent = [request for request in stub.requests() if b"left over" in request.body][-1].json()
    assert sent["options"]["num_predict"] == 60 - 3  # three tokens are the prompt's estimate
    assert "num_predict=57" in answer.headers["x-gateway-changed"]


@pytest.mark.parametrize(
    ("path", "body", "ends"),
    [
        ("/api/generate", {"prompt": "P"}, [b'"done_reason":"length"']),
        ("/api/chat", {"messages": ["P"]}, [b'"message":', b'"done_reason":"length"']),
        ("/api/v1/generate", {"prompt": "P"}, [b"data: {", b'"done_reason":"length"']),
        ("/v1/chat/completions", {"messages": ["P"]}, [b'"finish_reason":"length"', b"data: [DONE]\n\n"]),
        ("/v1/completions", {"prompt": "P"}, [b'"finish_reason":"length"', b"data: [DONE]\n\n"]),
        ("/v1/messages", {"messages": ["P"], "max_tokens": 5000}, [b'"max_tokens"', b"event: message_stop\n"]),
        ("/v1/responses", {"input": "P"}, [b"event: response.incomplete\n", b'"max_output_tokens"']),
    ],
)
def test_a_stream_that_spends_its_budget_ends_as_if_it_had_reached_its_cap(
    make_gateway: MakeGateway, path: str, body: dict[str, Any], ends: list[bytes]
) -> None:
    # The stub never ends, whatever cap it is told.
    server = make_gateway(DEFAULT_TOKENS_PER_DAY=50, RESERVE_STEP=10)
    prompt = "a b [[endless=1]]"
    text = json.dumps({"model": "stub", "stream": True, **body})
    text = text.replace('["P"]', json.dumps([{"role": "user", "content": prompt}])).replace('"P"', json.dumps(prompt))
    answer = httpx.post(f"{server.url}{path}", headers=server.headers, content=text, timeout=30)
    assert answer.status_code == 200, answer.text
    last = answer.content[-900:]
    assert all(end in last for end in ends), last
    ended = lines_of(server)[-1]
    assert (ended["event"], ended["ended"], ended["estimated"]) == ("ended", "length", True)
    assert ended["prompt_tokens"] + ended["completion_tokens"] <= 50 + 2


def test_a_spent_budget_says_when_it_is_whole_again_and_that_trying_is_no_use(make_gateway: MakeGateway) -> None:
    server = make_gateway(DEFAULT_TOKENS_PER_DAY=8)
    generate(server, "one two three four")
    refused = generate(server, "one")
    assert refused.status_code == 429
    assert refused.json()["error"] == "insufficient_quota"
    assert refused.headers["x-should-retry"] == "false"
    assert 0 < int(refused.headers["retry-after"]) <= 86_400


def test_embeddings_need_no_output(make_gateway: MakeGateway) -> None:
    server = make_gateway(DEFAULT_TOKENS_PER_DAY=4)
    body = {"model": "stub-embed", "input": "one two three"}
    answers = [httpx.post(f"{server.url}/api/embed", headers=server.headers, json=body) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]


def test_a_place_in_flight_is_free_again_when_its_client_leaves(make_gateway: MakeGateway, stub: StubProcess) -> None:
    server = make_gateway(DEFAULT_CONCURRENCY=1)
    with (
        httpx.Client(headers=server.headers, timeout=30) as client,
        client.stream(
            "POST", f"{server.url}/api/v1/generate", json={"model": "stub", "prompt": SLOW, "stream": True}
        ) as answer,
    ):
        frames = answer.iter_raw()
        next(frames)
        assert generate(server).status_code == 429
    stub.wait_for(lambda _: generate(server).status_code == 200)


def test_the_house_lets_so_many_through_and_the_rest_wait(make_gateway: MakeGateway, stub: StubProcess) -> None:
    server = make_gateway(MAX_IN_FLIGHT=2)
    most = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.is_set():
            most = max(most, len(stub.under_way()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: generate(server, "w [[chunks=4 interval_ms=30]]", stream=True), range(8)))
    done.set()
    watcher.join()
    assert [answer.status_code for answer in answers] == [200] * 8
    assert most <= 2


def test_who_waits_too_long_for_a_turn_is_told_to_come_back(make_gateway: MakeGateway) -> None:
    server = make_gateway(MAX_IN_FLIGHT=1, MAX_WAIT=0.2)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(generate, server, SLOW, stream=True)
        answers = []
        while not first.done():
            answers.append(generate(server))
    assert first.result().status_code == 200
    full = [answer for answer in answers if answer.status_code == 503]
    assert full
    assert full[0].headers["retry-after"] == "5"


def test_a_client_that_saw_the_end_is_in_the_journal_already(make_gateway: MakeGateway) -> None:
    server = make_gateway()
    body = {"model": "stub", "prompt": "one two", "stream": True}
    with httpx.stream("POST", f"{server.url}/api/v1/generate", headers=server.headers, json=body) as answer:
        for line in answer.iter_lines():
            if '"done":true' in line:
                admitted, ended = lines_of(server)
                break
    assert (admitted["event"], ended["event"], ended["ended"]) == ("admitted", "ended", "done")
    assert admitted["call"] == ended["call"]
    assert (ended["prompt_tokens"], ended["completion_tokens"], ended["estimated"]) == (2, 2, False)
    assert "one two" not in json.dumps([admitted, ended])


def test_a_second_process_on_the_same_journal_refuses_to_start(make_gateway: MakeGateway) -> None:
    server = make_gateway()
    second = GatewayServer(ollama_url=None, JOURNAL_DIR=str(server.folder / "journal"), OLLAMA_URL=server.url)
    with pytest.raises(AssertionError, match="Another gateway process uses"):
        second.start()
    assert "Traceback" not in second.log()
    make_gateway(JOURNAL_DIR=str(server.folder / "journal"), LIMITS="per-process")


def test_a_second_process_on_the_same_database_alone_says_that_limits_are_not_exact(make_gateway: MakeGateway) -> None:
    server = make_gateway()
    second = make_gateway(DATABASE_URL=f"sqlite:///{server.folder / 'db.sqlite3'}")
    assert "Limits are per process" in second.log()
    assert "Limits are per process" not in server.log()


def test_the_journal_is_not_readable_by_others(make_gateway: MakeGateway) -> None:
    server = make_gateway()
    generate(server)
    listing = subprocess.run(["ls", "-lR", str(server.folder / "journal")], capture_output=True, text=True, check=True)
    assert all(line[4:10] == "------" for line in listing.stdout.splitlines() if line.startswith("-"))
