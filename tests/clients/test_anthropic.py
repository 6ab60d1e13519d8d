"""The Python package `anthropic`, unmodified; what an older one sends differently is in test_frameworks.py."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from benchmarks.stub_client import StubProcess
from tests.clients.conftest import Door

anthropic = pytest.importorskip("anthropic", reason="the client `anthropic` is not installed: run scripts/test")

HELLO = [{"role": "user", "content": "Say one two three four five six seven eight nine."}]
LOOKUP = {"name": "lookup", "input_schema": {"type": "object", "properties": {"URL": {}, "url": {}}}}


@pytest.fixture
def client(door: Door) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=door.url, api_key=door.key) as client:
        yield client


@pytest.fixture
def stub_client(stub_door: Door) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=stub_door.url, api_key=stub_door.key, max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(door: Door) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=door.url, api_key=door.key) as client:
        yield client


def test_it_gets_a_message(client: anthropic.Anthropic, door: Door) -> None:
    answer = client.messages.create(model=door.model, messages=HELLO, max_tokens=8)
    assert answer.content[0].text
    assert answer.model == door.model
    assert 0 < answer.usage.output_tokens <= 8
    assert answer.usage.input_tokens
    assert answer._request_id


def test_it_streams_a_message(client: anthropic.Anthropic, door: Door) -> None:
    with client.messages.stream(model=door.model, messages=HELLO, max_tokens=8, system="Be short.") as stream:
        texts = list(stream.text_stream)
        final = stream.get_final_message()
    assert len(texts) > 1
    assert "".join(texts) == final.content[0].text
    assert final.stop_reason in {"end_turn", "max_tokens"}
    assert final.usage.output_tokens


def test_it_lists_the_models_and_finds_one(client: anthropic.Anthropic, door: Door) -> None:
    models = list(client.models.list())
    assert door.model in {model.id.removesuffix(":latest") for model in models}
    assert {model.type for model in models} == {"model"}
    assert client.models.retrieve(models[0].id).display_name == models[0].id


def test_it_counts_the_tokens_of_a_prompt(client: anthropic.Anthropic, door: Door) -> None:
    short = client.messages.count_tokens(model=door.model, messages=HELLO)
    longer = client.messages.count_tokens(model=door.model, messages=HELLO * 3)
    assert 0 < short.input_tokens < longer.input_tokens


@pytest.mark.anyio
async def test_the_async_client_does_all_that_too(async_client: anthropic.AsyncAnthropic, door: Door) -> None:
    assert (await async_client.messages.create(model=door.model, messages=HELLO, max_tokens=4)).content
    async with async_client.messages.stream(model=door.model, messages=HELLO, max_tokens=4) as stream:
        assert "".join([text async for text in stream.text_stream])
    assert [model.id async for model in async_client.models.list()]
    assert (await async_client.messages.count_tokens(model=door.model, messages=HELLO)).input_tokens


def test_its_token_works_as_well_as_its_key(stub_door: Door) -> None:
    with anthropic.Anthropic(base_url=stub_door.url, auth_token=stub_door.key) as client:
        assert client.messages.create(model="stub", messages=HELLO, max_tokens=4).content


def test_the_header_of_older_versions_works_too(stub_door: Door) -> None:
    headers = {"X-Api-Key": stub_door.key, "Authorization": anthropic.omit}
    with anthropic.Anthropic(base_url=stub_door.url, api_key=stub_door.key, default_headers=headers) as client:
        assert client.messages.create(model="stub", messages=HELLO, max_tokens=4).content


@pytest.mark.parametrize("place", ["chunk", "final"])
def test_it_calls_tools_and_takes_their_results(
    place: str, stub_client: anthropic.Anthropic, stub: StubProcess
) -> None:
    asked = [{"role": "user", "content": f"one [[tool={place}]]"}]
    with stub_client.messages.stream(model="stub-think", messages=asked, tools=[LOOKUP], max_tokens=64) as stream:
        answer = stream.get_final_message()
    assert answer.stop_reason == "tool_use"
    (call,) = [block for block in answer.content if block.type == "tool_use"]
    assert (call.name, call.input) == ("lookup", {"x": 1})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "found it"}
    history = [*asked, {"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}]
    assert stub_client.messages.create(model="stub-think", messages=history, tools=[LOOKUP], max_tokens=64).content
    sent = stub.requests("/v1/messages")[-1].json()
    assert sent["tools"] == [LOOKUP]
    assert sent["messages"][-1]["content"] == [result]


def test_it_gets_thoughts(stub_client: anthropic.Anthropic) -> None:
    asked = {"model": "stub-think", "messages": HELLO, "max_tokens": 64}
    answer = stub_client.messages.create(**asked, thinking={"type": "enabled", "budget_tokens": 1024})
    assert [block.type for block in answer.content] == ["thinking", "text"]


def test_without_a_key_its_exception_says_what_to_do(stub_door: Door) -> None:
    with (
        anthropic.Anthropic(base_url=stub_door.url, api_key="wrong") as client,
        pytest.raises(anthropic.AuthenticationError, match="This API key is not valid") as caught,
    ):
        client.messages.create(model="stub", messages=HELLO, max_tokens=4)
    assert caught.value.request_id
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["request_id"] == caught.value.request_id
    assert caught.value.body["error"]["type"] == "authentication_error"


def test_an_unknown_model_is_named_in_its_exception(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="model 'missing' not found") as caught:
        client.messages.create(model="missing", messages=HELLO, max_tokens=4)
    assert caught.value.request_id


def test_a_missing_cap_is_explained(stub_client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        stub_client.messages.create(model="stub", messages=HELLO, max_tokens=0)


@pytest.mark.parametrize(
    ("status", "raised", "kind"),
    [
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (503, anthropic.InternalServerError, "overloaded_error"),
    ],
    ids=["429", "500", "503"],
)
def test_a_failing_ollama_is_quoted(
    status: int, raised: type[anthropic.APIStatusError], kind: str, stub_client: anthropic.Anthropic, stub: StubProcess
) -> None:
    stub.behave("/v1/messages", f"status={status}")
    with pytest.raises(raised) as caught:
        stub_client.messages.create(model="stub", messages=HELLO, max_tokens=4)
    assert caught.value.status_code == status
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["error"]["type"] == kind
    assert caught.value.body["error"]["message"] in caught.value.message


@pytest.mark.parametrize("fault", ["error_after=2", "eof_after=2", "die_after=2", "reset_after=2"])
def test_a_stream_that_fails_raises_and_never_just_ends(fault: str, stub_client: anthropic.Anthropic) -> None:
    asked = [{"role": "user", "content": f"one two three [[{fault}]]"}]
    said: list[str] = []
    with (
        stub_client.messages.stream(model="stub", messages=asked, max_tokens=64) as stream,
        pytest.raises(anthropic.APIStatusError, match="broke off before its end") as caught,
    ):
        said.extend(stream.text_stream)
    assert "".join(said) == "one two"
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["error"]["type"] == "api_error"
