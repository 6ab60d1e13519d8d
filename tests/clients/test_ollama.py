"""The Python package `ollama`, unmodified."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from benchmarks.stub_client import StubProcess
from tests.clients.conftest import Door

ollama = pytest.importorskip("ollama", reason="the client `ollama` is not installed: run scripts/test")

SHORT = {"num_predict": 8, "temperature": 0}
HELLO = [{"role": "user", "content": "Say one two three four five six seven eight nine."}]


@pytest.fixture
def client(door: Door) -> Iterator[ollama.Client]:
    with ollama.Client(door.url, headers={"Authorization": f"Bearer {door.key}"}) as client:
        yield client


@pytest.fixture
def stub_client(stub_door: Door) -> Iterator[ollama.Client]:
    with ollama.Client(stub_door.url, headers={"X-API-Key": stub_door.key}) as client:
        yield client


@pytest.fixture
async def async_client(door: Door) -> AsyncIterator[ollama.AsyncClient]:
    async with ollama.AsyncClient(door.url, headers={"Authorization": f"Bearer {door.key}"}) as client:
        yield client


def test_it_chats(client: ollama.Client, door: Door) -> None:
    answer = client.chat(door.model, HELLO, options=SHORT)
    assert answer.message.role == "assistant"
    assert answer.message.content
    assert answer.model == door.model
    assert answer.done
    assert 0 < (answer.eval_count or 0) <= 8
    assert answer.prompt_eval_count


def test_it_streams_a_chat(client: ollama.Client, door: Door) -> None:
    parts = list(client.chat(door.model, HELLO, options=SHORT, stream=True))
    assert len(parts) > 2
    assert "".join(part.message.content or "" for part in parts)
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[-1].eval_count


def test_it_generates(client: ollama.Client, door: Door) -> None:
    assert client.generate(door.model, HELLO[0]["content"], options=SHORT).response


def test_it_streams_a_completion(client: ollama.Client, door: Door) -> None:
    parts = list(client.generate(door.model, HELLO[0]["content"], options=SHORT, stream=True))
    assert "".join(part.response for part in parts)
    assert parts[-1].done


def test_it_gets_the_structure_it_asks_for(engine_door: Door) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    with ollama.Client(engine_door.url, headers={"Authorization": f"Bearer {engine_door.key}"}) as client:
        answer = client.chat(engine_door.model, HELLO, format=schema, options={"num_predict": 64, "temperature": 0})
    assert isinstance(json.loads(answer.message.content or "")["ok"], bool)


def test_it_embeds(client: ollama.Client, door: Door) -> None:
    answer = client.embed(door.embedding_model, ["one", "two"])
    assert len(answer.embeddings) == 2
    assert math.hypot(*answer.embeddings[0]) == pytest.approx(1, abs=1e-3)
    assert answer.prompt_eval_count


def test_it_embeds_in_the_older_form(client: ollama.Client, door: Door) -> None:
    assert len(client.embeddings(door.embedding_model, "one").embedding) > 1


def test_it_lists_the_models(client: ollama.Client, door: Door) -> None:
    assert door.model in {(model.model or "").removesuffix(":latest") for model in client.list().models}


def test_it_shows_a_model(client: ollama.Client, door: Door) -> None:
    shown = client.show(door.model)
    assert shown.modelinfo
    assert "completion" in (shown.capabilities or [])


def test_it_lists_what_is_loaded(client: ollama.Client, door: Door) -> None:
    client.chat(door.model, HELLO, options=SHORT)
    assert door.model in {(model.model or "").removesuffix(":latest") for model in client.ps().models}


def test_a_model_can_be_loaded_ahead(client: ollama.Client, door: Door) -> None:
    assert client.generate(door.model).done_reason == "load"


@pytest.mark.anyio
async def test_the_async_client_does_all_that_too(async_client: ollama.AsyncClient, door: Door) -> None:
    assert (await async_client.chat(door.model, HELLO, options=SHORT)).message.content
    assert (await async_client.generate(door.model, "one two", options=SHORT)).response
    parts = [part async for part in await async_client.chat(door.model, HELLO, options=SHORT, stream=True)]
    assert len(parts) > 2
    assert parts[-1].done
    parts = [part async for part in await async_client.generate(door.model, "one two", options=SHORT, stream=True)]
    assert parts[-1].done
    assert (await async_client.embed(door.embedding_model, "one")).embeddings
    assert (await async_client.embeddings(door.embedding_model, "one")).embedding
    assert (await async_client.list()).models
    assert (await async_client.show(door.model)).modelinfo
    assert (await async_client.ps()).models


def test_its_text_arrives_as_the_model_said_it(stub_client: ollama.Client) -> None:
    text = 'é 漢字 🦙 👩‍👩‍👧 "\\ <&> e\u0301'
    asked = [{"role": "user", "content": f"{text} [[split=1 chunks=7]]"}]
    parts = list(stub_client.chat("stub", asked, stream=True))
    assert len(parts) == 8
    assert "".join(part.message.content or "" for part in parts) == text


def test_it_gets_thoughts_and_tool_calls(stub_client: ollama.Client) -> None:
    tool = {"type": "function", "function": {"name": "lookup", "parameters": {"type": "object", "properties": {}}}}
    asked = [{"role": "user", "content": "one [[tool=chunk]]"}]
    answer = stub_client.chat("stub-think", asked, tools=[tool])
    assert answer.message.thinking
    assert answer.message.tool_calls is not None
    assert answer.message.tool_calls[0].function.name == "lookup"
    assert answer.message.tool_calls[0].function.arguments == {"x": 1}


def test_the_variable_for_a_key_is_enough(stub_door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", stub_door.url)
    monkeypatch.setenv("OLLAMA_API_KEY", stub_door.key)
    with ollama.Client() as client:
        assert client.list().models


def test_without_a_key_its_exception_says_what_to_send(stub_door: Door) -> None:
    with ollama.Client(stub_door.url) as client, pytest.raises(ollama.ResponseError) as caught:
        client.chat("stub", HELLO)
    assert caught.value.status_code == 401
    assert caught.value.error.startswith("An API key is needed: send it as")


def test_an_unknown_model_is_named_in_its_exception(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError) as caught:
        client.chat("missing", HELLO)
    assert caught.value.status_code == 404
    assert caught.value.error.startswith("model 'missing' not found")


def test_an_unknown_model_is_refused_before_a_stream_begins(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError) as caught:
        next(client.generate("missing", "one", stream=True))
    assert caught.value.status_code == 404


@pytest.mark.parametrize("fault", ["error_after=2", "eof_after=2", "die_after=2", "reset_after=2"])
def test_a_stream_that_fails_raises_and_never_just_ends(fault: str, stub_client: ollama.Client) -> None:
    said: list[str] = []
    with pytest.raises(ollama.ResponseError) as caught:
        said.extend(part.response for part in stub_client.generate("stub", f"one two three [[{fault}]]", stream=True))
    assert said == ["one", " two"]
    assert caught.value.error
    assert caught.value.status_code == -1


@pytest.mark.anyio
async def test_the_async_client_raises_the_same(stub_door: Door) -> None:
    async with ollama.AsyncClient(stub_door.url, headers={"X-API-Key": stub_door.key}) as client:
        with pytest.raises(ollama.ResponseError) as caught:
            await client.chat("missing", HELLO)
        assert caught.value.status_code == 404
        stream = await client.generate("stub", "one two three [[error_after=2]]", stream=True)
        with pytest.raises(ollama.ResponseError):
            [part async for part in stream]


def test_a_key_without_the_scope_can_not_pull(stub_client: ollama.Client, stub: StubProcess) -> None:
    with pytest.raises(ollama.ResponseError) as caught:
        stub_client.pull("stub")
    assert caught.value.status_code == 403
    assert "'manage'" in caught.value.error
    assert stub.requests("/api/pull") == []


def test_a_manager_pulls_creates_copies_and_deletes(stub_door: Door, manager_key: str, tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF" * 1000)
    with ollama.Client(stub_door.url, headers={"Authorization": f"Bearer {manager_key}"}) as client:
        progress = [step.status for step in client.pull("stub", stream=True)]
        assert progress[0] == "pulling manifest"
        assert progress[-1] == "success"
        assert client.pull("stub").status == "success"
        digest = client.create_blob(file)
        assert client.create("mine", files={"model.gguf": digest}).status == "success"
        assert client.copy("mine", "yours").status == "success"
        assert client.delete("yours").status == "success"


@pytest.mark.anyio
async def test_an_async_manager_sends_a_file_in_chunks(
    stub_door: Door, stub: StubProcess, manager_key: str, tmp_path: Path
) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF" * 100_000)
    async with ollama.AsyncClient(stub_door.url, headers={"Authorization": f"Bearer {manager_key}"}) as client:
        digest = await client.create_blob(file)
        assert [sent.body for sent in stub.requests(f"/api/blobs/{digest}")] == [file.read_bytes()]
        assert (await client.create("mine", files={"model.gguf": digest})).status == "success"
