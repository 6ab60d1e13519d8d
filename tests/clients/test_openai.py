"""The Python package `openai`, unmodified, on /v1 and on /api/v1."""

from __future__ import annotations

import base64
import json
import struct
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from benchmarks.stub_client import StubProcess
from tests.clients.conftest import Door

openai = pytest.importorskip("openai", reason="the client `openai` is not installed: run scripts/test")

HELLO = [{"role": "user", "content": "Say one two three four five six seven eight nine."}]
LOOKUP = {
    "type": "function",
    "function": {"name": "lookup", "parameters": {"type": "object", "properties": {"URL": {}, "url": {}}}},
}


@pytest.fixture(params=["/v1", "/api/v1"])
def prefix(request: pytest.FixtureRequest) -> str:
    """The two prefixes that serve this client."""
    prefix: str = request.param
    return prefix


@pytest.fixture
def client(door: Door) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{door.url}/v1", api_key=door.key) as client:
        yield client


@pytest.fixture
def stub_client(stub_door: Door, prefix: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=stub_door.url + prefix, api_key=stub_door.key) as client:
        yield client


@pytest.fixture
def v1_client(stub_door: Door) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{stub_door.url}/v1", api_key=stub_door.key, max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(door: Door) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{door.url}/v1", api_key=door.key) as client:
        yield client


def test_it_chats(client: openai.OpenAI, door: Door) -> None:
    answer = client.chat.completions.create(model=door.model, messages=HELLO, max_tokens=8)
    assert answer.choices[0].message.content
    assert answer.model == door.model
    assert answer.usage is not None
    assert 0 < answer.usage.completion_tokens <= 8
    assert answer.usage.prompt_tokens


def test_it_streams_a_chat(client: openai.OpenAI, door: Door) -> None:
    chunks = list(client.chat.completions.create(model=door.model, messages=HELLO, max_tokens=8, stream=True))
    assert len(chunks) > 2
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason in {"stop", "length"}
    assert all(chunk.usage is None for chunk in chunks)


def test_it_gets_the_counts_of_a_stream_when_it_asks(client: openai.OpenAI, door: Door) -> None:
    options = {"include_usage": True}
    stream = client.chat.completions.create(
        model=door.model, messages=HELLO, max_tokens=8, stream=True, stream_options=options
    )
    *_, last = stream
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens


def test_the_newer_field_for_a_cap_holds_too(client: openai.OpenAI, door: Door) -> None:
    answer = client.chat.completions.create(model=door.model, messages=HELLO, max_completion_tokens=2)
    assert answer.choices[0].finish_reason == "length"


def test_its_stream_helper_builds_the_whole_answer(v1_client: openai.OpenAI) -> None:
    asked = [{"role": "user", "content": "one two three"}]
    with v1_client.chat.completions.stream(model="stub", messages=asked) as stream:
        assert [event.delta for event in stream if event.type == "content.delta"] == ["one", " two", " three"]
        assert stream.get_final_completion().choices[0].message.content == "one two three"


def test_it_completes(client: openai.OpenAI, door: Door) -> None:
    answer = client.completions.create(model=door.model, prompt="one two three", max_tokens=4)
    assert answer.choices[0].text
    assert answer.usage is not None
    assert answer.usage.completion_tokens


def test_it_streams_a_completion(client: openai.OpenAI, door: Door) -> None:
    chunks = list(client.completions.create(model=door.model, prompt="one two three", max_tokens=4, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)


def test_it_gets_the_structure_it_asks_for(engine_door: Door) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    asked = {"model": engine_door.model, "messages": HELLO, "max_tokens": 64, "temperature": 0}
    shape = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": schema}}
    with openai.OpenAI(base_url=f"{engine_door.url}/v1", api_key=engine_door.key) as client:
        answer = client.chat.completions.create(**asked, response_format=shape)
    assert isinstance(json.loads(answer.choices[0].message.content or "")["ok"], bool)


def test_it_embeds_in_base64_and_in_numbers(client: openai.OpenAI, door: Door) -> None:
    packed = client.embeddings.create(model=door.embedding_model, input=["one", "two"])
    plain = client.embeddings.create(model=door.embedding_model, input=["one", "two"], encoding_format="float")
    assert [entry.index for entry in packed.data] == [0, 1]
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-4)
    assert packed.usage.prompt_tokens == plain.usage.prompt_tokens > 0


def test_base64_is_what_travels(v1_client: openai.OpenAI, stub: StubProcess) -> None:
    raw = v1_client.embeddings.with_raw_response.create(model="stub-embed", input="one").http_response.json()
    vector = raw["data"][0]["embedding"]
    assert len(struct.unpack(f"<{len(base64.b64decode(vector)) // 4}f", base64.b64decode(vector))) > 1
    assert stub.requests("/v1/embeddings")[0].json()["encoding_format"] == "base64"


def test_it_lists_the_models_and_finds_one(client: openai.OpenAI, door: Door) -> None:
    names = [model.id for model in client.models.list()]
    assert door.model in {name.removesuffix(":latest") for name in names}
    assert client.models.retrieve(names[0]).id == names[0]


def test_it_responds(client: openai.OpenAI, door: Door) -> None:
    answer = client.responses.create(model=door.model, input="Say one two three.", max_output_tokens=8)
    assert answer.output_text
    assert answer.usage is not None
    assert answer.usage.output_tokens


def test_it_streams_a_response(client: openai.OpenAI, door: Door) -> None:
    with client.responses.stream(model=door.model, input="Say one two three.", max_output_tokens=8) as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(deltas) == final.output_text
    assert final.usage is not None
    assert final.usage.output_tokens


@pytest.mark.anyio
async def test_the_async_client_does_all_that_too(async_client: openai.AsyncOpenAI, door: Door) -> None:
    answer = await async_client.chat.completions.create(model=door.model, messages=HELLO, max_tokens=4)
    assert answer.choices[0].message.content
    stream = await async_client.chat.completions.create(model=door.model, messages=HELLO, max_tokens=4, stream=True)
    assert [chunk async for chunk in stream][-1].choices[0].finish_reason
    assert (await async_client.completions.create(model=door.model, prompt="one", max_tokens=4)).choices[0].text
    assert (await async_client.embeddings.create(model=door.embedding_model, input="one")).data[0].embedding
    assert [model.id async for model in async_client.models.list()]
    assert (await async_client.responses.create(model=door.model, input="one two", max_output_tokens=4)).output_text


def test_either_prefix_serves_it(stub_client: openai.OpenAI) -> None:
    asked = {"model": "stub", "messages": HELLO}
    assert stub_client.chat.completions.create(**asked).choices[0].message.content == "Say one two three four"
    said = [chunk.choices[0].delta.content for chunk in stub_client.chat.completions.create(**asked, stream=True)]
    assert "".join(part or "" for part in said) == "Say one two three four"
    assert stub_client.completions.create(model="stub", prompt="one two").choices[0].text == "one two"
    assert stub_client.embeddings.create(model="stub-embed", input="one").data
    assert stub_client.models.list().data
    assert stub_client.models.retrieve("stub:latest").id == "stub:latest"


def test_it_calls_tools_and_takes_their_results(stub_client: openai.OpenAI, stub: StubProcess) -> None:
    asked = [{"role": "user", "content": "one [[tool=chunk]]"}]
    answer = stub_client.chat.completions.create(model="stub-think", messages=asked, tools=[LOOKUP])
    (call,) = answer.choices[0].message.tool_calls or []
    assert (call.function.name, json.loads(call.function.arguments)) == ("lookup", {"x": 1})
    assert answer.choices[0].finish_reason == "tool_calls"
    result = {"role": "tool", "tool_call_id": call.id, "content": "found it"}
    history = [*asked, answer.choices[0].message.model_dump(exclude_none=True), result]
    assert stub_client.chat.completions.create(model="stub-think", messages=history, tools=[LOOKUP]).choices
    sent = stub.requests("/v1/chat/completions")[-1].json()
    assert sent["tools"] == [LOOKUP]
    assert sent["messages"][-1] == result


@pytest.mark.parametrize("place", ["chunk", "final"])
def test_it_streams_tool_calls(place: str, v1_client: openai.OpenAI) -> None:
    asked = [{"role": "user", "content": f"one [[tool={place}]]"}]
    with v1_client.chat.completions.stream(model="stub-think", messages=asked, tools=[LOOKUP]) as stream:
        (call,) = stream.get_final_completion().choices[0].message.tool_calls or []
    assert (call.function.name, json.loads(call.function.arguments)) == ("lookup", {"x": 1})


def test_an_image_goes_through(v1_client: openai.OpenAI, stub: StubProcess) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    asked = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}]
    assert v1_client.chat.completions.create(model="stub-think", messages=asked).choices
    assert stub.requests("/v1/chat/completions")[0].json()["messages"] == asked


@pytest.mark.parametrize("status", [429, 503])
def test_it_tries_again_when_ollama_is_busy(status: int, stub_client: openai.OpenAI, stub: StubProcess) -> None:
    stub.behave("/v1/chat/completions", f"status={status}")

    def recover() -> None:
        stub.wait_for(lambda stub: stub.requests("/v1/chat/completions"))
        stub.behave("/v1/chat/completions", "")

    recovery = threading.Thread(target=recover)
    recovery.start()
    try:
        answer = stub_client.chat.completions.create(model="stub", messages=HELLO)
    finally:
        recovery.join()
    assert answer.choices[0].message.content == "Say one two three four"
    assert len(stub.requests("/v1/chat/completions")) in {2, 3}


@pytest.mark.parametrize(
    ("status", "raised"), [(429, openai.RateLimitError), (503, openai.InternalServerError)], ids=["429", "503"]
)
def test_a_busy_ollama_is_quoted_with_when_to_come_back(
    status: int, raised: type[openai.APIStatusError], v1_client: openai.OpenAI, stub: StubProcess
) -> None:
    stub.behave("/v1/chat/completions", f"status={status}")
    with pytest.raises(raised) as caught:
        v1_client.chat.completions.create(model="stub", messages=HELLO)
    assert "Error code" in caught.value.message
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["message"] in caught.value.message
    assert int(caught.value.response.headers["Retry-After"]) > 0


def test_without_a_key_its_exception_says_what_to_send(stub_door: Door, prefix: str) -> None:
    with (
        openai.OpenAI(base_url=stub_door.url + prefix, api_key="wrong") as client,
        pytest.raises(openai.AuthenticationError, match="This API key is not valid") as caught,
    ):
        client.chat.completions.create(model="stub", messages=HELLO)
    assert caught.value.type == "authentication_error"
    assert caught.value.request_id


def test_an_unknown_model_is_named_in_its_exception(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="model 'missing' not found") as caught:
        client.chat.completions.create(model="missing", messages=HELLO)
    assert caught.value.code == "model_not_found"


def test_an_unknown_model_can_not_be_retrieved(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="'nobody/knows:it' not found"):
        client.models.retrieve("nobody/knows:it")


def test_a_wrong_field_is_explained(v1_client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="messages"):
        v1_client.chat.completions.create(model="stub", messages="hello")


@pytest.mark.parametrize("fault", ["error_after=2", "eof_after=2", "die_after=2", "reset_after=2"])
@pytest.mark.parametrize("route", ["chat", "completions", "responses"])
def test_a_stream_that_fails_raises_and_never_just_ends(fault: str, route: str, v1_client: openai.OpenAI) -> None:
    said: list[str] = []
    with pytest.raises(openai.APIError, match="broke off before its end") as caught:
        said.extend(texts(v1_client, route, f"one two three [[{fault}]]"))
    assert "".join(said) == "one two"
    assert isinstance(caught.value.body, dict)


def texts(client: openai.OpenAI, route: str, prompt: str) -> Iterator[str]:
    """Yields what a stream of one of the three routes says."""
    if route == "chat":
        messages = [{"role": "user", "content": prompt}]
        for chunk in client.chat.completions.create(model="stub", messages=messages, stream=True):
            yield chunk.choices[0].delta.content or ""
    elif route == "completions":
        for part in client.completions.create(model="stub", prompt=prompt, stream=True):
            yield part.choices[0].text
    else:
        for event in client.responses.create(model="stub", input=prompt, stream=True):
            if event.type == "response.output_text.delta":
                yield event.delta
