"""Compressed request bodies: the same requests as plain ones, and nothing that a small body could blow up."""

from __future__ import annotations

import gzip
import json
import os
import random
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.stub_client import StubProcess
from proxy.decoding import BLOCK, DECODERS, FREE, MOST_PARTS, MOST_RATIO, DamagedBody, Decoder, zstd
from tests.dialects.front import BODIES, DIGEST, House, error_of
from tests.harness import GatewayServer, wait_until
from tests.proxy.wire import Client, ask, asked, chunk

GENERATE = "/api/v1/generate"
LIMIT = 64 * 1024
ENCODE: dict[str, Callable[[bytes], bytes]] = {
    "zstd": zstd.compress,
    "br": lambda data: bytes(brotli.compress(data, quality=4)),
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
}
each_coding = pytest.mark.parametrize("coding", ENCODE)


def decode(coding: str, *pieces: bytes) -> bytes:
    """What the pieces of a body decode to; raises DamagedBody."""
    decoder = Decoder(coding)
    said = b"".join(block for piece in pieces for block in decoder.blocks(piece))
    decoder.end()
    return said


def test_every_coding_is_tested() -> None:
    assert set(ENCODE) == set(DECODERS)


# The decoders


@each_coding
@given(data=st.binary(max_size=300), copies=st.integers(1, 2000), cuts=st.lists(st.integers(0, 5000), max_size=8))
def test_a_body_is_decoded_wherever_it_is_cut(coding: str, data: bytes, copies: int, cuts: list[int]) -> None:
    encoded = ENCODE[coding](data * copies)
    places = [0, *sorted(min(cut, len(encoded)) for cut in cuts), len(encoded)]
    assert decode(coding, *(encoded[start:end] for start, end in pairwise(places))) == data * copies


@each_coding
@given(data=st.binary(min_size=1, max_size=2000), lost=st.integers(1, 2000))
def test_a_body_that_ends_too_early_is_damaged(coding: str, data: bytes, lost: int) -> None:
    encoded = ENCODE[coding](data)
    for kept in {max(1, len(encoded) - lost), len(encoded) - 1}:
        with pytest.raises(DamagedBody):
            decode(coding, encoded[:kept])


@each_coding
@given(data=st.binary(min_size=1, max_size=200))
def test_bytes_behind_the_end_are_damage(coding: str, data: bytes) -> None:
    encoded = ENCODE[coding](b"a body")
    for pieces in ([encoded + b"\xff" + data], [encoded, b"\xff" + data]):
        with pytest.raises(DamagedBody):
            decode(coding, *pieces)


@each_coding
@given(data=st.binary(max_size=500))
def test_any_bytes_are_decoded_or_damage(coding: str, data: bytes) -> None:
    try:
        decode(coding, data)
    except DamagedBody:
        return


@each_coding
def test_an_empty_body_is_empty(coding: str) -> None:
    assert decode(coding) == b""
    assert decode(coding, ENCODE[coding](b"")) == b""


@pytest.mark.parametrize("coding", ["zstd", "gzip"])
def test_a_body_may_have_parts(coding: str) -> None:
    part = ENCODE[coding](b"part ")
    assert decode(coding, part * 3) == b"part " * 3
    assert decode(coding, *[part] * 3) == b"part " * 3
    assert decode(coding, part * MOST_PARTS)
    with pytest.raises(DamagedBody):
        decode(coding, part * (MOST_PARTS + 1))


def test_a_frame_that_is_to_be_skipped_is_skipped() -> None:
    assert decode("zstd", b"\x50\x2a\x4d\x18\x04\x00\x00\x00skip" + zstd.compress(b"read")) == b"read"


def test_a_window_larger_than_http_allows_is_refused() -> None:
    options = {zstd.CompressionParameter.window_log: 27}
    compressor = zstd.ZstdCompressor(options=options)
    with pytest.raises(DamagedBody):
        decode("zstd", compressor.compress(b"x" * 1000) + compressor.flush())


@each_coding
def test_no_more_than_a_block_comes_at_a_time(coding: str) -> None:
    for block in Decoder(coding).blocks(ENCODE[coding](bytes(20 * 2**20))):
        assert len(block) <= 2 * BLOCK  # brotli's may be somewhat larger


def test_raw_deflate_is_not_guessed_at() -> None:
    compressor = zlib.compressobj(wbits=-15)
    with pytest.raises(DamagedBody):
        decode("deflate", compressor.compress(b'{"prompt": "a"}') + compressor.flush())


# The front door


@pytest.fixture(scope="module")
def small_gateway(stub: StubProcess) -> Iterator[GatewayServer]:
    """A gateway that holds little."""
    with GatewayServer(ollama_url=stub.url, MAX_BODY_BYTES=LIMIT, MAX_BUFFERED_BYTES=100 * 1024) as server:
        yield server


@each_coding
def test_a_compressed_request_is_served_as_a_plain_one(house: House, coding: str) -> None:
    for path, body in BODIES.items():
        encoded = ENCODE[coding](json.dumps(body).encode())
        answer = house.ask(path, encoded, headers={"Content_Encoding": coding.upper()})
        assert answer.status == 200, (path, answer)
        assert house.line(answer)["received_bytes"] == len(encoded)
    for request in house.reached():
        assert request.header("Content-Encoding") is None
        assert not request.body or request.json()["model"].startswith("stub")


@each_coding
def test_what_a_compressed_request_asks_for_is_checked(house: House, coding: str) -> None:
    for path, body in BODIES.items():
        raw = json.dumps({**body, "model": "secret"}).encode()
        answer = house.ask(path, ENCODE[coding](raw), who="stubs", headers={"Content_Encoding": coding})
        assert error_of(path, answer)[1].startswith("model 'secret' not found")
    assert house.reached() == []


@each_coding
@pytest.mark.parametrize("path", ["/api/v1/generate", "/api/chat", "/v1/responses", "/v1/messages"])
def test_a_damaged_body_is_refused_in_its_dialect(house: House, path: str, coding: str) -> None:
    encoded = ENCODE[coding](json.dumps(BODIES[path]).encode())
    for damaged in (encoded[:-3], encoded[:9], encoded + b"junk", b"junk", json.dumps(BODIES[path]).encode()):
        answer = house.ask(path, damaged, headers={"Content_Encoding": coding})
        assert answer.status == 400
        assert coding in error_of(path, answer)[1]
    empty = house.ask(path, b"", headers={"Content_Encoding": coding})
    assert empty.status == 400
    assert "empty" in error_of(path, empty)[1]
    assert house.reached() == []


def padded(size: int) -> bytes:
    """A body of exactly so many bytes that does not compress well."""
    frame = json.dumps({"model": "stub-num1000000-trained1000000", "prompt": ""}).encode()
    text = random.Random(1).randbytes(size).hex()  # noqa: S311 -- the same each time
    return frame[:-2] + text[: size - len(frame)].encode() + frame[-2:]


@each_coding
def test_the_limit_is_on_what_it_decodes_to(stub: StubProcess, small_gateway: GatewayServer, coding: str) -> None:
    fits, large = ENCODE[coding](padded(LIMIT)), ENCODE[coding](padded(LIMIT + 1))
    assert len(large) < LIMIT
    assert ask(small_gateway, GENERATE, fits, Content_Encoding=coding).status == 200
    answer = ask(small_gateway, GENERATE, large, Content_Encoding=coding)
    assert answer.status == 413
    assert "65536 bytes" in answer.json()["message"]
    assert len(asked(stub)) == 1


@each_coding
def test_what_was_held_for_it_is_given_back(small_gateway: GatewayServer, coding: str) -> None:
    fits = ENCODE[coding](padded(LIMIT - 1))
    for body, status in ((fits, 200), (fits[:-9], 400), (ENCODE[coding](bytes(LIMIT * 9)), 413), (fits, 200)) * 3:
        assert ask(small_gateway, GENERATE, body, Content_Encoding=coding).status == status
    with Client(small_gateway) as client:
        client.ask(GENERATE, fits[:-9], Content_Encoding=coding, Content_Length=str(len(fits)))
    wait_until(lambda: ask(small_gateway, GENERATE, padded(LIMIT)).status == 200, 5)


@each_coding
def test_a_body_made_to_expand_is_refused_early(gateway: GatewayServer, coding: str) -> None:
    bomb = ENCODE[coding](b'{"prompt": "' + b"x" * (30 * 2**20) + b'"}')
    assert FREE + MOST_RATIO * len(bomb) < 30 * 2**20
    answer = ask(gateway, GENERATE, bomb, Content_Encoding=coding)
    assert answer.status == 413
    assert "expands" in answer.json()["message"]


@each_coding
def test_a_repetitive_body_of_a_common_size_passes(gateway: GatewayServer, coding: str) -> None:
    body = json.dumps({"prompt": "x" * 900_000}).encode()
    assert ask(gateway, GENERATE, ENCODE[coding](body), Content_Encoding=coding).status == 200


@each_coding
def test_it_may_come_in_chunks(gateway: GatewayServer, coding: str) -> None:
    encoded = ENCODE[coding](json.dumps({"prompt": os.urandom(3000).hex(), "stream": True}).encode())
    with Client(gateway) as client:
        client.send(
            f"POST {GENERATE} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {gateway.key}\r\n"
            f"Content-Encoding: {coding}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        for piece in pieces_of(encoded, 100):
            client.send(chunk(piece))
        client.send(b"0\r\n\r\n")
        answer = client.answer()
    assert answer.status == 200
    assert b'"done":true' in answer.body


def pieces_of(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def test_a_file_is_not_decoded(house: House) -> None:
    for coding in (*ENCODE, "compress"):
        answer = house.ask(f"/api/blobs/{DIGEST}", b"x", who="manager", headers={"Content_Encoding": coding})
        assert answer.status == 415
        assert answer.headers["accept-encoding"] == "identity"
    assert (
        house.ask(f"/api/blobs/{DIGEST}", b"x", who="manager", headers={"Content_Encoding": "identity"}).status == 201
    )
