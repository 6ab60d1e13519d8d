"""What is known of a call when it is over."""

from __future__ import annotations

import json

import pytest

from tests.dialects.front import BODIES, MANAGE_BODIES, STREAMED, SURFACES, House, saying


@pytest.mark.parametrize("path", BODIES)
def test_who_asked_what_in_which_dialect(house: House, path: str) -> None:
    body = BODIES[path]
    spelling = "Library/" + body["model"].title()
    if path == "/api/embeddings":
        spelling = body["model"]  # Ollama itself minds the case there
    answer = house.ask(path, {**body, "model": spelling})
    assert answer.status == 200, answer
    line = house.line(answer)
    assert line["dialect"] == SURFACES[path]
    assert line["route"] == f"POST {path}"
    assert (line["model"], line["canonical"]) == (spelling, f"{body['model']}:latest")
    assert line["label"] == "tests"
    assert (line["status"], line["ended"]) == (200, "done")


@pytest.mark.parametrize("path", BODIES)
def test_its_bytes_and_times(house: House, path: str) -> None:
    for stream in (True, False) if path in STREAMED else (None,):
        body = json.dumps({**BODIES[path], **({} if stream is None else {"stream": stream})}).encode()
        answer = house.ask(path, body)
        line = house.line(answer)
        assert line["received_bytes"] == len(body)
        assert line["sent_bytes"] == len(answer.body)
        assert 0 < line["first_byte"] <= line["total"]


@pytest.mark.parametrize(
    "path", [path for path in STREAMED if "v1/" not in path or ("chat" in path and "com" not in path)]
)
def test_ollamas_durations_where_it_tells_them(house: House, path: str) -> None:
    for stream in (True, False):
        line = house.line(house.ask(path, saying(path, "a b", stream=stream)))
        times = [line[f"ollama_{name}"] for name in ("total", "load", "prompt", "answer")]
        assert times == [0.009, 0.001, 0.002, 0.005]
    line = house.line(house.ask("/api/embed", BODIES["/api/embed"]))
    assert (line["ollama_total"], line["ollama_load"], line["ollama_prompt"]) == (0.005, 0.001, None)
    line = house.line(house.ask("/v1/chat/completions", BODIES["/v1/chat/completions"]))
    assert line["ollama_total"] is None


def test_a_model_behind_an_alias_is_known_by_both_names(house: House) -> None:
    line = house.line(house.ask("/v1/chat/completions", {**BODIES["/v1/chat/completions"], "model": "GPT-4o"}))
    assert (line["model"], line["canonical"]) == ("GPT-4o", "stub:latest")


def test_a_refusal_has_its_dialect_too(house: House) -> None:
    for path, surface in (("/v1/nothing", "openai"), ("/api/nothing", "ollama"), ("/v1/messages", "anthropic")):
        line = house.line(house.ask(path, b"{"))
        assert (line["dialect"], line["ended"]) == (surface, "refused")
    line = house.line(house.ask("/v1/messages", BODIES["/v1/messages"], who="nobody"))
    assert (line["key"], line["status"], line["ended"]) == (None, 401, "refused")


def test_what_changes_the_box_is_known_too(house: House) -> None:
    for path, body in MANAGE_BODIES.items():
        method = "DELETE" if path == "/api/delete" else "POST"
        answer = house.ask(path, body, method=method, who="manager")
        line = house.line(answer)
        assert (line["dialect"], line["ended"], line["label"]) == ("ollama", "done", "manager")
        assert line["canonical"].startswith("stub")
        assert line["sent_bytes"] == len(answer.body)
