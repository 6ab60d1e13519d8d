"""The request of the machine lane: its headers, as views and CORS find them."""

from __future__ import annotations

import asyncio

import pytest

from gateway import request as module
from gateway.request import LaneRequest, Message
from proxy.call import Call


def made(*headers: tuple[bytes, bytes]) -> LaneRequest:
    async def receive() -> Message:
        raise AssertionError("nobody reads the body")

    async def make() -> LaneRequest:
        return LaneRequest({"headers": list(headers)}, receive, Call("id", "POST", "/api/chat", "192.0.2.1"))

    return asyncio.run(make())


def test_a_header_is_found_by_both_of_its_names() -> None:
    request = made((b"x-api-key", b"secret"), (b"content-type", b"text/plain"))
    assert request.META["HTTP_X_API_KEY"] == request.headers["X-API-Key"] == "secret"
    assert request.META["CONTENT_TYPE"] == request.headers["content-type"] == "text/plain"


def test_a_header_sent_twice_arrives_joined() -> None:
    assert made((b"origin", b"http://a"), (b"origin", b"http://b")).headers["origin"] == "http://a,http://b"


@pytest.mark.parametrize("name", [b"anthropic_version", b"x_api_key", b"http_origin"])
def test_a_name_with_an_underscore_stands_for_nobodys_header(name: bytes) -> None:
    assert {key for key in made((name, b"forged")).META if key.startswith("HTTP_")} == set()


def test_names_that_clients_make_up_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NAMES", {})
    for number in range(2 * module.MAX_NAMES):
        assert made((b"x-made-up-%d" % number, b"1")).META[f"HTTP_X_MADE_UP_{number}"] == "1"
    assert len(module.NAMES) == module.MAX_NAMES
