"""A model's file on its way to Ollama: as it comes, whole or not at all."""

from __future__ import annotations

import pytest

from tests.dialects.front import DIGEST, House, name_of
from tests.proxy.wire import Client, chunk

BLOB = f"/api/blobs/{DIGEST}"


def test_a_file_arrives_as_it_was_sent(house: House) -> None:
    data = bytes(range(256)) * 4096
    assert house.ask(BLOB, method="HEAD", who="manager").status == 404
    answer = house.ask(BLOB, data, who="manager")
    assert (answer.status, answer.body) == (201, b"")
    (request,) = [request for request in house.reached() if request.method == "POST"]
    assert request.body == data
    assert request.target == BLOB
    assert request.header("Content-Length") == str(len(data))
    assert house.ask(BLOB, method="HEAD", who="manager").status == 200
    assert house.line(answer)["ended"] == "done"


def test_a_file_may_be_larger_than_any_other_body(house: House) -> None:
    data = b"x" * (40 * 2**20)
    assert house.ask(BLOB, data, who="manager").status == 201
    (request,) = house.reached()
    assert len(request.body) == len(data)


def test_a_file_of_unknown_size_goes_on_in_chunks(house: House) -> None:
    with Client(house.server) as client:
        client.send(
            f"POST {BLOB} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {house.keys['manager']}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        for part in (b"one", b"two" * 1000, b""):
            client.send(chunk(part))
        assert client.answer().status == 201
    (request,) = house.reached()
    assert request.body == b"one" + b"two" * 1000


def test_who_leaves_half_way_leaves_nothing_behind(house: House) -> None:
    with Client(house.server) as client:
        client.send(
            f"POST {BLOB} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {house.keys['manager']}\r\n"
            "X-Request-ID: half-a-file\r\nContent-Length: 1000000\r\n\r\n".encode()
        )
        client.send(b"x" * 100_000)
    line = house.line_of("half-a-file")
    assert line["ended"] == "left"
    assert house.reached() == []  # the stub never got a whole request
    house.stub.wait_for(lambda stub: not stub.under_way())


def test_who_pauses_half_way_is_cut(house: House) -> None:
    with Client(house.server) as client:
        client.send(
            f"POST {BLOB} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {house.keys['manager']}\r\n"
            "X-Request-ID: a-pause\r\nContent-Length: 1000000\r\n\r\n".encode()
        )
        client.send(b"x" * 1000)
        assert client.head().status == 408
    assert house.line_of("a-pause")["ended"] == "cut"


@pytest.mark.parametrize(
    "digest",
    ["sha256:0a", "sha256:" + "0A" * 32, "md5:" + "0a" * 32, "sha256:" + "0g" * 32, "..", DIGEST + "0", "x" * 71],
)
def test_what_is_no_digest_does_not_exist(house: House, digest: str) -> None:
    for method in ("POST", "HEAD"):
        assert house.ask(f"/api/blobs/{digest}", b"x", method=method, who="manager").status == 404
    assert house.reached() == []


def test_the_other_spelling_of_a_digest(house: House) -> None:
    assert house.ask(BLOB.replace(":", "-"), b"x", who="manager").status == 201
    assert house.ask(BLOB.replace(":", "%3A"), b"x", who="manager").status == 201
    assert {name_of(request) for request in house.reached()} == {f"POST {BLOB}", f"POST {BLOB.replace(':', '-')}"}
