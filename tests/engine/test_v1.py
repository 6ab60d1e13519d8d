"""OpenAI's and Anthropic's dialects on a real model."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

MESSAGES = [{"role": "user", "content": "Say hello"}]
CHAT = ("/v1/chat/completions", {"messages": MESSAGES, "max_tokens": 4})
COMPLETION = ("/v1/completions", {"prompt": "Once upon a", "max_tokens": 4})
RESPONSE = ("/v1/responses", {"input": "Say hello", "max_output_tokens": 4})
MESSAGE = ("/v1/messages", {"messages": MESSAGES, "max_tokens": 4})
ALL = [CHAT, COMPLETION, RESPONSE, MESSAGE]

Body = dict[str, Any]


def events(client: httpx.Client, path: str, body: Body) -> list[Any]:
    response = client.post(path, json={"model": "smollm2:135m", "stream": True, **body})
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream"
    assert "prompt_progress" not in response.text
    data = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in data]


def whole(client: httpx.Client, path: str, body: Body) -> Body:
    response = client.post(path, json={"model": "smollm2:135m", **body})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("application/json")
    answer: Body = response.json()
    return answer


def test_a_chat_is_streamed_in_chunks_and_ends_with_its_mark(client: httpx.Client) -> None:
    path, body = CHAT
    *chunks, done = events(client, path, {**body, "stream_options": {"include_usage": True}})
    assert done == "[DONE]"
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert chunks[-1]["usage"]["completion_tokens"] <= 4


def test_a_chat_is_answered_whole(client: httpx.Client) -> None:
    answer = whole(client, *CHAT)
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"]["content"]
    assert answer["choices"][0]["finish_reason"] in ("stop", "length")
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + answer["usage"]["completion_tokens"]


def test_a_completion_is_the_same_streamed_and_whole(client: httpx.Client) -> None:
    path, body = COMPLETION
    exact = {**body, "temperature": 0, "seed": 1}
    *chunks, done = events(client, path, exact)
    answer = whole(client, path, exact)
    assert done == "[DONE]"
    assert answer["choices"][0]["text"] == "".join(chunk["choices"][0]["text"] for chunk in chunks)
    assert answer["usage"]["completion_tokens"] == 4


def test_a_response_is_streamed_and_whole(client: httpx.Client) -> None:
    streamed = events(client, *RESPONSE)
    assert streamed[0]["type"] == "response.created"
    assert streamed[0]["response"]["output"] == []
    assert streamed[-1]["type"] == "response.completed"
    assert [event["sequence_number"] for event in streamed] == list(range(len(streamed)))
    deltas = [event for event in streamed if event["type"] == "response.output_text.delta"]
    assert {(event["output_index"], event["content_index"]) for event in deltas} == {(0, 0)}
    answer = whole(client, *RESPONSE)
    assert answer["output"][0]["content"][0]["text"]
    assert answer["usage"]["output_tokens"] <= 4


def test_a_message_is_streamed_and_whole_with_its_input_counted_whole(client: httpx.Client) -> None:
    whole(client, *MESSAGE)  # from now on the prompt is in llama.cpp's cache
    streamed = events(client, *MESSAGE)
    answer = whole(client, *MESSAGE)
    counted = client.post("/v1/messages/count_tokens", json={"model": "smollm2", "messages": MESSAGES}).json()
    assert [streamed[0]["type"], streamed[-1]["type"]] == ["message_start", "message_stop"]
    assert answer["content"][0]["text"]
    ended = next(event for event in streamed if event["type"] == "message_delta")
    assert ended["usage"]["input_tokens"] == answer["usage"]["input_tokens"] == counted["input_tokens"]


def test_embeddings_are_answered(client: httpx.Client) -> None:
    answer = whole(client, "/v1/embeddings", {"input": ["a", "b"]})
    assert [len(entry["embedding"]) for entry in answer["data"]] == [576, 576]
    assert answer["usage"]["prompt_tokens"] == 2
    assert list(answer)[-1] == "usage"


def test_the_model_is_listed_and_found(client: httpx.Client) -> None:
    listed = client.get("/v1/models").json()
    assert [entry["id"] for entry in listed["data"]] == ["smollm2:135m"]
    assert client.get("/v1/models/smollm2").json()["id"] == "smollm2"
    assert client.get("/v1/models/nope").status_code == 404


@pytest.mark.parametrize(("path", "body"), [CHAT, COMPLETION, RESPONSE, ("/v1/embeddings", {"input": "x"})])
def test_another_model_is_not_found_in_openais_shape(client: httpx.Client, path: str, body: Body) -> None:
    response = client.post(path, json={**body, "model": "nope"})
    assert response.status_code == 404
    detail = {"message": "model 'nope' not found", "type": "not_found_error", "param": None, "code": None}
    assert response.json() == {"error": detail}


def test_another_model_is_not_found_in_anthropics_shape(client: httpx.Client) -> None:
    path, body = MESSAGE
    response = client.post(path, json={**body, "model": "nope"})
    answer = response.json()
    assert response.status_code == 404
    assert answer.pop("request_id").startswith("req_")
    detail = {"type": "not_found_error", "message": "model 'nope' not found"}
    assert answer == {"type": "error", "error": detail}


@pytest.mark.parametrize(("path", "body"), ALL)
@pytest.mark.parametrize("stream", [True, False])
def test_what_llama_refuses_is_an_error_in_the_dialect(
    client: httpx.Client, path: str, body: Body, *, stream: bool
) -> None:
    wrong = {**body, "model": "smollm2", "stream": stream, "temperature": "hot"}
    response = client.post(path, json=wrong)
    assert response.status_code >= 400
    assert response.json()["error"]["message"]


@pytest.mark.parametrize(("path", "body"), [CHAT, MESSAGE])
def test_tools_and_empty_conversations_are_refused(client: httpx.Client, path: str, body: Body) -> None:
    assert client.post(path, json={**body, "model": "smollm2", "tools": [{}]}).status_code == 400
    assert client.post(path, json={**body, "model": "smollm2", "messages": []}).status_code == 400
