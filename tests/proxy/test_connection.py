"""A connection to Ollama reads its answers alike wherever they are cut, and serves again only after a clean end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.upstream.bodies import Upload
from proxy.upstream.connection import MAX_HEAD_BYTES, Connection
from proxy.upstream.exchange import HIGH_WATER, Exchange
from proxy.upstream.pool import KEEP_ALIVE, Pool

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKED = HEAD + b"5\r\nhello\r\n7\r\n, w\xc3\xb6rl\r\n1\r\nd\r\n0\r\n\r\n"
SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\nhello, w\xc3\xb6rld!"
SAID = "hello, wörld".encode()


class Wire:
    """What a connection does with its transport."""

    def __init__(self) -> None:
        self.sent = b""
        self.unsent = 0
        self.did: list[str] = []

    def write(self, data: bytes) -> None:
        self.sent += data

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return "close" in self.did or "abort" in self.did

    def __getattr__(self, name: str) -> Any:
        return lambda: self.did.append(name)


class Heard:
    """A connection on a wire of the test's, with a request sent."""

    def __init__(self, *, has_body: bool = True) -> None:
        self.left: list[str] = []
        self.connection = Connection(lambda _: self.left.append("freed"), lambda _: self.left.append("lost"))
        self.wire = Wire()
        self.connection.connection_made(self.wire)  # type: ignore[arg-type]
        self.exchange = self.ask(has_body=has_body)

    def ask(self, *, has_body: bool = True) -> Exchange:
        return self.connection.send(b"GET / HTTP/1.1\r\n\r\n", b"", has_body=has_body)

    def hear(self, *pieces: bytes) -> Heard:
        for piece in pieces:
            self.connection.data_received(piece)
        return self

    async def all(self) -> bytes:
        said = b""
        while data := await self.exchange.read():
            said += data
        return said


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


@given(cuts=st.lists(st.integers(1, 100), max_size=12), answer=st.sampled_from([CHUNKED, SIZED]))
def test_an_answer_is_the_same_wherever_it_is_cut(cuts: list[int], answer: bytes) -> None:
    async def scenario() -> None:
        heard = Heard()
        places = [0, *sorted({min(cut, len(answer)) for cut in cuts}), len(answer)]
        heard.hear(*(answer[start:end] for start, end in pairwise(places) if start < end))
        assert await heard.exchange.head() == 200
        assert (await heard.all()).startswith(SAID)
        assert heard.left == ["freed"]
        assert not heard.wire.is_closing()

    run(scenario())


def test_an_interim_answer_is_none() -> None:
    async def scenario() -> None:
        heard = Heard().hear(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + SIZED)
        assert await heard.exchange.head() == 200
        assert (await heard.all()).startswith(SAID)

    run(scenario())


def test_an_answer_to_a_head_has_no_body_whatever_its_head_says() -> None:
    async def scenario() -> None:
        heard = Heard(has_body=False).hear(b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n")
        assert await heard.exchange.head() == 200
        assert await heard.all() == b""
        assert heard.wire.is_closing()

    run(scenario())


def test_only_a_body_of_no_announced_size_ends_with_its_connection() -> None:
    async def scenario() -> None:
        heard = Heard().hear(b"HTTP/1.0 200 OK\r\n\r\nhello")
        heard.connection.connection_lost(None)
        assert await heard.all() == b"hello"
        for begun in (SIZED[:-1], CHUNKED[:-4], b"HTTP/1.1 200 OK\r\n", b""):
            heard = Heard().hear(*[begun] if begun else [])
            heard.connection.connection_lost(None)
            with pytest.raises(httpx.ReadError):
                await heard.all()
            assert heard.left == ["lost"]

    run(scenario())


def test_what_came_before_a_failure_can_still_be_read() -> None:
    async def scenario() -> None:
        heard = Heard().hear(HEAD, b"5\r\nhello\r\nnonsense\r\n")
        assert (await heard.exchange.read()).endswith(b"hello")
        with pytest.raises(httpx.RemoteProtocolError):
            await heard.exchange.read()
        assert heard.wire.did == ["abort"]

    run(scenario())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * (MAX_HEAD_BYTES + 1) + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * (MAX_HEAD_BYTES + 1),
        b"HTTP/1.1 100 Continue\r\n\r\n" * 5000,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 104 Odd\r\nContent-Length: 5\r\n\r\nEVIL!" + SIZED,
        b"garbage\r\n\r\n",
    ],
    ids=["a long head", "half of one", "only interim answers", "a switch", "two lengths", "an interim body", "garbage"],
)
def test_what_is_no_answer_ends_the_connection(answer: bytes) -> None:
    async def scenario() -> None:
        heard = Heard().hear(*(answer[at : at + 10_000] for at in range(0, len(answer), 10_000)))
        with pytest.raises(httpx.RemoteProtocolError):
            await heard.exchange.head()
        assert "abort" in heard.wire.did
        assert heard.left == []

    run(scenario())


@pytest.mark.parametrize("together", [True, False], ids=["with the answer", "after it"])
def test_a_word_that_nobody_asked_for_ends_the_connection(*, together: bool) -> None:
    async def scenario() -> None:
        heard = Heard().hear(*([SIZED + SIZED] if together else [SIZED, SIZED]))
        assert (await heard.all()).startswith(SAID)
        assert heard.wire.is_closing()

    run(scenario())


def test_an_answer_that_says_close_is_the_last() -> None:
    async def scenario() -> None:
        heard = Heard().hear(SIZED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert (await heard.all()).startswith(SAID)
        assert heard.left == []
        assert heard.wire.did == ["close"]

    run(scenario())


def test_a_slow_reader_lets_ollama_wait() -> None:
    async def scenario() -> None:
        heard = Heard().hear(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x" * (HIGH_WATER + 1))
        assert heard.wire.did == ["pause_reading"]
        await heard.exchange.read()
        assert heard.wire.did == ["pause_reading", "resume_reading"]

    run(scenario())


def test_a_reader_that_lags_keeps_nobody_from_the_connection() -> None:
    async def scenario() -> None:
        heard = Heard().hear(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n", b"x" * 200_000)
        assert heard.left == ["freed"]
        assert heard.wire.did[-1] == "resume_reading"
        first, heard.exchange = heard.exchange, heard.ask()
        heard.hear(SIZED)
        assert (await heard.all()).startswith(SAID)
        assert await first.read() == b"x" * 200_000
        assert await first.read() == b""
        first.close()
        assert not heard.wire.is_closing()

    run(scenario())


def test_the_rest_of_an_answer_that_nobody_wants_is_not_kept() -> None:
    async def scenario() -> None:
        heard = Heard().hear(HEAD, b"5\r\nhello\r\n")
        heard.exchange.want_no_more()
        heard.hear(CHUNKED[len(HEAD) + 10 :])
        assert heard.exchange.parts == []
        assert heard.left == ["freed"]

    run(scenario())


async def parts_of(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize(("size", "sent"), [(5, b"hello"), (None, b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")])
def test_a_body_that_comes_bit_by_bit_goes_bit_by_bit(size: int | None, sent: bytes) -> None:
    async def scenario() -> None:
        heard = Heard()
        heard.wire.sent = b""
        heard.connection.send_parts(b"", Upload(parts_of(b"he", b"", b"llo"), size))
        await asyncio.sleep(0)
        assert heard.wire.sent == sent

    run(scenario())


def test_an_upload_waits_while_ollama_takes_nothing_and_ends_with_the_connection() -> None:
    async def scenario() -> None:
        heard = Heard()
        heard.connection.pause_writing()
        exchange = heard.connection.send_parts(b"", Upload(parts_of(b"he", b"llo"), 5))
        upload = heard.connection.upload
        assert upload is not None
        await asyncio.sleep(0)
        assert heard.wire.sent.endswith(b"he")
        heard.connection.connection_lost(OSError())
        with pytest.raises(httpx.ReadError):
            await exchange.head()
        await asyncio.wait([upload])
        assert upload.cancelled()

    run(scenario())


def test_an_early_answer_to_an_upload_is_heard_and_the_connection_ends_with_it() -> None:
    async def scenario() -> None:
        heard = Heard()
        heard.connection.pause_writing()
        heard.exchange = heard.connection.send_parts(b"", Upload(parts_of(b"he", b"llo"), 5))
        await asyncio.sleep(0)
        heard.hear(SIZED)
        assert await heard.exchange.head() == 200
        # It may never take the rest of the body, so nobody waits for that.
        assert heard.wire.did == ["abort"]
        heard.connection.connection_lost(None)

    run(scenario())


def test_an_early_answer_to_a_body_that_is_not_all_sent_ends_the_connection() -> None:
    async def scenario() -> None:
        heard = Heard()
        heard.wire.unsent = 1_000_000
        heard.hear(SIZED)
        assert (await heard.all()).startswith(SAID)
        assert heard.left == []
        assert heard.wire.did == ["abort"]

    run(scenario())


def test_what_we_end_ourselves_is_not_whole() -> None:
    async def scenario() -> None:
        heard = Heard().hear(b"HTTP/1.0 200 OK\r\n\r\nhello")
        heard.connection.abort()
        heard.connection.connection_lost(None)
        assert await heard.exchange.read() == b"hello"
        with pytest.raises(httpx.ReadError):
            await heard.exchange.read()

    run(scenario())


def test_idle_connections_are_closed_after_a_while_the_oldest_first() -> None:
    async def scenario() -> None:
        pool = Pool("127.0.0.1", 1, None, 1)
        old, new = Heard(), Heard()
        for heard in (old, new):
            pool.take_back(heard.connection)
        old.connection.idle_since -= KEEP_ALIVE
        pool.sweep()
        assert old.wire.did == ["close"]
        assert new.wire.did == []
        assert await pool.take() is new.connection
        await pool.aclose()

    run(scenario())
