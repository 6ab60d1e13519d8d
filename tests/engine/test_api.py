"""Ollama's native endpoints on a real model."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import httpx
import pytest

from engine.child import EngineProcess
from engine.llama import BATCH

CHAT = {"model": "smollm2:135m", "messages": [{"role": "user", "content": "Say hello"}], "options": {"num_predict": 5}}
GENERATE = {"model": "smollm2:135m", "prompt": "Say hello", "options": {"num_predict": 5}}
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z"
METRICS = [
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
]


def lines(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.content.endswith(b"}\n")
    return [json.loads(line) for line in response.content.splitlines()]


def text(line: dict[str, Any]) -> str:
    said: str = line["message"]["content"] if "message" in line else line["response"]
    return said


@pytest.mark.parametrize(("path", "body"), [("/api/chat", CHAT), ("/api/generate", GENERATE)])
def test_tokens_are_streamed_by_default(client: httpx.Client, path: str, body: dict[str, Any]) -> None:
    *spoken, last = lines(client.post(path, json=body))
    assert len(spoken) >= 2
    assert all(text(line) for line in spoken)
    assert not any(line["done"] for line in spoken)
    assert all(re.fullmatch(STAMP, line["created_at"]) for line in [*spoken, last])
    assert last["done"] is True
    assert last["done_reason"] in ("stop", "length")
    assert text(last) == ""
    assert [name for name in last if name in METRICS] == METRICS
    assert all(isinstance(last[name], int) and last[name] > 0 for name in METRICS)
    assert 1 <= last["eval_count"] <= 5
    assert last["prompt_eval_duration"] + last["eval_duration"] <= last["total_duration"]


@pytest.mark.parametrize(("path", "body"), [("/api/chat", CHAT), ("/api/generate", GENERATE)])
def test_one_object_is_answered_when_the_stream_is_not_wanted(
    client: httpx.Client, path: str, body: dict[str, Any]
) -> None:
    response = client.post(path, json={**body, "stream": False})
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert int(response.headers["content-length"]) == len(response.content)
    assert not response.content.endswith(b"\n")
    answer = response.json()
    assert text(answer)
    assert answer["done"] is True
    assert answer["eval_count"] > 0


def test_the_same_seed_says_the_same_streamed_or_not(client: httpx.Client) -> None:
    body = {**GENERATE, "options": {"num_predict": 8, "seed": 7, "temperature": 0}}
    streamed = "".join(text(line) for line in lines(client.post("/api/generate", json=body)))
    assert text(client.post("/api/generate", json={**body, "stream": False}).json()) == streamed


def test_a_cap_ends_an_answer_with_its_reason(client: httpx.Client) -> None:
    body = {**GENERATE, "prompt": "Tell a long story", "stream": False, "options": {"num_predict": 3}}
    answer = client.post("/api/generate", json=body).json()
    assert (answer["done_reason"], answer["eval_count"]) == ("length", 3)


def test_a_stop_word_ends_an_answer_before_it(client: httpx.Client) -> None:
    body = {"model": "smollm2", "prompt": "a b c d e", "raw": True, "stream": False, "format": {"const": "one two"}}
    answer = client.post("/api/generate", json={**body, "options": {"stop": [" two"], "num_predict": 30}}).json()
    assert answer["done_reason"] == "stop"
    assert answer["response"] == '"one'


def test_an_answer_keeps_to_a_schema(client: httpx.Client) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    options = {"num_predict": 60, "temperature": 0}
    body = {**CHAT, "format": {**schema, "additionalProperties": False}, "stream": False, "options": options}
    answer = json.loads(text(client.post("/api/chat", json=body).json()))
    assert list(answer) == ["ok"]
    assert answer["ok"] in (True, False)


def test_the_system_text_and_the_history_count_as_prompt(client: httpx.Client) -> None:
    def count(body: dict[str, Any]) -> int:
        counted: int = client.post("/api/chat", json={**body, "stream": False}).json()["prompt_eval_count"]
        return counted

    longer = [{"role": "system", "content": "Be kind and brief."}, *CHAT["messages"]]  # type: ignore[misc]
    assert count({**CHAT, "messages": longer}) > count(CHAT)


@pytest.mark.parametrize("name", ["smollm2", "SmolLM2:135M", "registry.ollama.ai/library/smollm2:135m"])
def test_the_name_is_repeated_as_it_was_sent(client: httpx.Client, name: str) -> None:
    last = lines(client.post("/api/chat", json={**CHAT, "model": name}))[-1]
    assert last["model"] == name


@pytest.mark.parametrize("path", ["/api/generate", "/api/chat"])
@pytest.mark.parametrize(("more", "reason"), [({}, "load"), ({"keep_alive": 0}, "unload")])
def test_nothing_to_say_loads_or_unloads_with_one_object(
    client: httpx.Client, path: str, more: dict[str, Any], reason: str
) -> None:
    response = client.post(path, json={"model": "smollm2", "stream": True, **more})
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    answer = response.json()
    assert re.fullmatch(STAMP, answer.pop("created_at"))
    part = {"response": ""} if path == "/api/generate" else {"message": {"role": "assistant", "content": ""}}
    assert answer == {"model": "smollm2", **part, "done": True, "done_reason": reason}


def test_embeddings_have_length_one_and_are_counted(client: httpx.Client) -> None:
    answer = client.post("/api/embed", json={"model": "smollm2", "input": ["a cat", "a dog", "the law of 1871"]}).json()
    cat, dog, law = answer["embeddings"]
    assert len(cat) == 576
    assert math.hypot(*cat) == pytest.approx(1, abs=1e-3)
    assert math.dist(cat, dog) < math.dist(cat, law)
    assert answer["prompt_eval_count"] >= 6
    assert answer["total_duration"] > 0


def test_embeddings_are_cut_to_the_dimensions_asked_for(client: httpx.Client) -> None:
    (vector,) = client.post("/api/embed", json={"model": "smollm2", "input": "a cat", "dimensions": 8}).json()[
        "embeddings"
    ]
    assert len(vector) == 8
    assert math.hypot(*vector) == pytest.approx(1)


def test_a_text_too_long_to_embed_is_cut_unless_that_is_forbidden(client: httpx.Client) -> None:
    body = {"model": "smollm2", "input": "word " * (BATCH + 50)}
    assert client.post("/api/embed", json=body).json()["prompt_eval_count"] == BATCH
    refused = client.post("/api/embed", json={**body, "truncate": False})
    assert (refused.status_code, refused.json()) == (400, {"error": "the input length exceeds the context length"})


def test_the_old_embeddings_endpoint_answers_one_plain_vector(client: httpx.Client) -> None:
    answer = client.post("/api/embeddings", json={"model": "smollm2", "prompt": "a cat"}).json()
    assert list(answer) == ["embedding"]
    assert math.hypot(*answer["embedding"]) > 2


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/api/generate", 404, "model 'nope' not found"),
        ("/api/chat", 404, "model 'nope' not found"),
        ("/api/embed", 404, 'model "nope" not found, try pulling it first'),
        ("/api/embeddings", 404, 'model "nope" not found, try pulling it first'),
        ("/api/show", 404, "model 'nope:latest' not found"),
    ],
)
def test_another_model_is_not_found_in_ollamas_words(client: httpx.Client, path: str, status: int, text: str) -> None:
    response = client.post(path, json={"model": "nope", "prompt": "x", "input": "x", "messages": [{"role": "user"}]})
    assert (response.status_code, response.json()) == (status, {"error": text})


@pytest.mark.parametrize("path", ["/api/chat", "/api/embeddings", "/api/show"])
def test_a_missing_model_is_asked_for(client: httpx.Client, path: str) -> None:
    response = client.post(path, json={})
    assert (response.status_code, response.json()) == (400, {"error": "model is required"})


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b'{"model":"smollm2","messages":"x"}', 400),
        (b'{"model":"smollm2","messages":[{"role":"user","content":1}]}', 400),
        (b'{"model":"smollm2","messages":[{"role":"user","content":"x"}],"stream":1}', 400),
        (b'{"model":"smollm2","messages":[{"role":"user","content":"x"}],"options":{"top_k":"x"}}', 500),
        (b'{"model":"smollm2","messages":[{"role":"user","content":"x","images":["QQ=="]}]}', 400),
        (b'{"model":"smollm2","messages":[{"role":"user","content":"x"}],"tools":[{}]}', 400),
    ],
)
def test_what_is_wrong_is_answered_with_a_text(client: httpx.Client, body: bytes, status: int) -> None:
    response = client.post("/api/chat", content=body)
    assert response.status_code == status
    assert isinstance(response.json()["error"], str)


def test_a_conversation_longer_than_the_context_is_refused_before_the_stream(client: httpx.Client) -> None:
    response = client.post("/api/generate", json={**GENERATE, "prompt": "word " * 5000})
    assert response.status_code == 400
    assert "context size" in response.json()["error"]


def test_the_model_is_listed_shown_and_running(client: httpx.Client) -> None:
    (tag,) = client.get("/api/tags").json()["models"]
    (running,) = client.get("/api/ps").json()["models"]
    shown = client.post("/api/show", json={"model": "smollm2"}).json()
    assert tag["name"] == running["name"] == "smollm2:135m"
    assert tag["size"] == 98_362_432
    assert re.fullmatch("[0-9a-f]{64}", tag["digest"])
    assert running["context_length"] == 4096
    assert shown["model_info"]["general.parameter_count"] == 134_515_008
    assert shown["license"] == "Apache-2.0"


def test_the_heartbeat_and_the_version_answer_get_and_head(client: httpx.Client) -> None:
    assert client.get("/").text == "Ollama is running"
    assert client.head("/").status_code == 200
    assert client.head("/api/tags").content == b""
    assert client.get("/api/version").json() == {"version": "0.0.0-demo"}


def test_unknown_paths_and_methods_are_refused_in_plain_text(client: httpx.Client) -> None:
    missing, wrong = client.get("/api/nothing"), client.get("/api/chat")
    assert (missing.status_code, missing.text) == (404, "404 page not found")
    assert (wrong.status_code, wrong.text, wrong.headers["allow"]) == (405, "405 method not allowed", "POST")


@pytest.mark.parametrize("path", ["/api/pull", "/api/push", "/api/create", "/api/copy"])
def test_the_one_model_cannot_be_changed(client: httpx.Client, path: str) -> None:
    response = client.post(path, json={"model": "mistral"})
    assert response.status_code == 501
    assert "OLLAMA_URL" in response.json()["error"]


def test_a_body_without_end_is_refused(engine: EngineProcess) -> None:
    with httpx.Client(base_url=engine.url, timeout=60) as client:
        response = client.post("/api/chat", content=b"x" * (33 * 2**20))
    assert response.status_code == 413
