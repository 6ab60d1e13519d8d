"""Images and files at an address other than `data:`: for keys without `manage` none reaches Ollama, however spelled."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.exceptions import BadBody
from proxy.remote_files import check_files
from tests.dialects.front import BODIES, House, error_of, upstream_path

PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
DATA = f"data:image/png;base64,{PICTURE}"
ADDRESSES = [
    *("http://169.254.169.254/latest/meta-data/", "https://example.org/a.png", "HTTP://localhost", " http://a"),
    *("file:///etc/passwd", "ftp://a/b", "//a/b.png", "gopher://a", "\thttps://a", "data.example.org/a.png"),
]
AS_BASE64 = [address for address in ADDRESSES if address != "data.example.org/a.png"]


def talk(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, *parts]}]


def chat(address: str) -> list[dict[str, Any]]:
    """Bodies in OpenAI's dialect of chats."""
    return [
        {"messages": talk({"type": "image_url", "image_url": {"url": address}})},
        {"messages": talk({"type": "image_url", "image_url": {"url": address, "detail": "low"}})},
        {"messages": talk({"type": "image_url", "image_url": address})},
        {"messages": talk({"type": "image_url", "Image_URL": address})},
        {"messages": talk({"type": "image_url", "image_url": {"URL": address}})},
        {"messages": talk({"type": "image_url", "image_url": {"url": DATA, "Url": address}})},
        {"messages": talk({"type": "image_url", "image_url": [DATA, address, {"url": DATA}]})},
        {"messages": talk({"type": "file", "file": {"file_url": address, "filename": "a.pdf"}})},
        {"messages": talk({"type": "video_url", "video_url": {"url": address}})},
        {"messages": [{"role": "user", "content": {"type": "image_url", "image_url": address}}]},
        {"messages": [{"role": "tool", "tool_call_id": "1", "content": [{"type": "image_url", "image_url": address}]}]},
    ]


def responses(address: str) -> list[dict[str, Any]]:
    """Bodies in OpenAI's dialect of responses."""
    image = {"type": "input_image", "image_url": address}
    return [
        {"input": [{"role": "user", "content": [image]}]},
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": address}]}]},
        {"input": [{"type": "function_call_output", "call_id": "1", "output": [image]}]},
        {
            "input": [
                {"type": "computer_call_output", "call_id": "1", "output": {**image, "type": "computer_screenshot"}}
            ]
        },
        {"input": [image]},
    ]


def messages(address: str) -> list[dict[str, Any]]:
    """Bodies in Anthropic's dialect."""
    image = {"type": "image", "source": {"type": "url", "url": address}}
    document = {"type": "document", "source": {"type": "url", "url": address}}
    return [
        {"messages": talk(image)},
        {"messages": talk(document)},
        {"messages": talk({"type": "image", "source": {"url": address}})},
        {"messages": talk({"type": "image", "url": address})},
        {"messages": talk({"type": "tool_result", "tool_use_id": "1", "content": [image]})},
        {
            "messages": talk(
                {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": ""}, document]}
            )
        },
        {"messages": talk({"type": "document", "source": {"type": "content", "content": [image]}})},
        {"system": [{"type": "text", "text": "Be brief."}, image]},
    ]


def native(address: str) -> list[dict[str, Any]]:
    """Bodies in Ollama's own dialect."""
    return [
        {"messages": [{"role": "user", "content": "What is this?", "images": [address]}]},
        {"messages": [{"role": "user", "content": "What is this?", "images": [PICTURE, address]}]},
    ]


WAYS = [("/v1/chat/completions", chat), ("/v1/responses", responses), ("/v1/messages", messages)]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize(("path", "bodies"), WAYS)
def test_an_address_is_refused_in_every_spelling(path: str, bodies: Any, address: str) -> None:
    for body in bodies(address):
        with pytest.raises(BadBody, match="not fetched"):
            check_files({**BODIES[path], **body})


@pytest.mark.parametrize("address", AS_BASE64)
def test_an_address_in_the_place_of_base64_is_refused(address: str) -> None:
    sound = talk({"type": "input_audio", "input_audio": {"data": address, "format": "wav"}})
    file = talk({"type": "file", "file": {"file_data": address}})
    image = talk({"type": "image", "source": {"type": "base64", "data": address}})
    for body in (*native(address), {"images": [address]}, {"messages": sound}, {"messages": file}, {"messages": image}):
        with pytest.raises(BadBody, match="not fetched"):
            check_files(body)


LINK = "https://example.org/a.png"
HARMLESS: list[dict[str, Any]] = [
    *(body for bodies in (chat, responses, messages) for body in bodies(DATA)),
    *(body for bodies in (chat, responses, messages) for body in bodies(f"DATA:image/png;base64,{PICTURE}")),
    *native(PICTURE),
    {"images": [PICTURE]},
    {"images": None},
    {"messages": [{"role": "user", "content": f"See {LINK}"}]},
    {"messages": talk({"type": "text", "text": LINK})},
    {
        "messages": [
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"image_url": LINK}}}]}
        ]
    },
    {
        "messages": talk(
            {"type": "tool_use", "id": "1", "name": "f", "input": {"image_url": LINK, "source": {"url": LINK}}}
        )
    },
    {"messages": talk({"type": "tool_result", "tool_use_id": "1", "content": LINK})},
    {"messages": talk({"type": "web_search_result", "url": LINK, "title": "A"})},
    {
        "messages": talk(
            {"type": "search_result", "source": LINK, "title": "A", "content": [{"type": "text", "text": LINK}]}
        )
    },
    {
        "messages": talk(
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": f"See: {LINK}"}}
        )
    },
    {"input": [{"type": "function_call", "call_id": "1", "name": "f", "arguments": f'{{"image_url":"{LINK}"}}'}]},
    {"input": [{"type": "function_call_output", "call_id": "1", "output": LINK}]},
    {"input": [{"type": "web_search_call", "id": "1", "action": {"type": "open_page", "url": LINK}}]},
    {"input": LINK},
    {"input": [LINK, LINK]},
    {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"image_url": LINK}}}]},
    {"metadata": {"image_url": LINK}},
    {"system": LINK},
]


@pytest.mark.parametrize("body", HARMLESS)
def test_what_is_no_file_or_is_all_there_passes(body: dict[str, Any]) -> None:
    check_files(body)


@pytest.mark.parametrize(("path", "bodies"), [*WAYS, ("/api/chat", native), ("/api/v1/chat/completions", chat)])
def test_none_reaches_ollama_unless_the_key_manages(house: House, path: str, bodies: Any) -> None:
    for body in bodies(LINK):
        answer = house.ask(path, {**BODIES[path], **body})
        assert answer.status == 400
        assert "not fetched" in error_of(path, answer)[1]
        assert answer.headers["x-should-retry"] == "false"
    assert house.reached() == []
    for body in bodies(LINK):
        house.ask(path, {**BODIES[path], **body}, who="manager")
    assert len(house.stub.requests(upstream_path(path))) == len(bodies(LINK))


def test_counting_fetches_nothing(house: House) -> None:
    body = {"model": "stub", "messages": messages(LINK)[0]["messages"]}
    assert house.ask("/v1/messages/count_tokens", body).status == 200


def test_only_a_key_that_manages_chooses_the_runner(house: House) -> None:
    for path in ("/api/generate", "/api/chat", "/api/v1/generate", "/v1/chat/completions"):
        answer = house.ask(path, {**BODIES[path], "runner": "other", "stream": False})
        assert answer.status == 200
        assert "runner dropped" in answer.headers["x-gateway-changed"]
        assert house.ask(path, {**BODIES[path], "Runner": "other"}).status == 400
    bodies = [request.json() for request in house.reached()]
    assert len(bodies) == 4
    assert not [body for body in bodies if "runner" in body]
    house.ask("/api/chat", {**BODIES["/api/chat"], "runner": "other"}, who="manager")
    assert house.reached()[-1].json()["runner"] == "other"


def test_the_status_of_the_cloud_is_the_gateways_own(house: House) -> None:
    answer = house.ask("/api/status", method="GET")
    assert (answer.status, answer.json()) == (200, {"cloud": {"disabled": True, "source": "config"}})
    assert house.ask("/api/status", method="GET", who="nobody").status == 401
    assert house.reached() == []
