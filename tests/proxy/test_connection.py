"""A connection to Ollama reads its answers alike wherever they are cut, and serves again only after a clean end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from random import Random
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.upstream.bodies import Upload
from proxy.upstream.connection import MAX_HEAD_BYTES, Connection
from proxy.upstream.exchange import HIGH_WATER, Exchange
from proxy.upstream.pool import KEEP_ALIVE, REST, Pool

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

    def get_extra_info(self, _name: str) -> None:
        """There is no socket."""

    def is_closing(self) -> bool:
        return "close" in self.did or "abort" in self.did

    def __getattr__(self, name: str) -> Any:
        return lambda: self.did.append(name)


class Heard:
    """A connection on a wire of the test's, with a request sent."""

    def __init__(self, *, has_body: bool = True) -> None:
        self.left: list[str] = []
        self.connection = Connection(
            lambda _: self.left.append("freed"),
            lambda _: self.left.append("lost"),
            lambda: self.left.append("unasked"),
        )
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
        assert heard.left == ["freed", "unasked"]

    run(scenario())


@pytest.mark.parametrize("rest", [b"EVIL", b"HTTP/1.1 200 OK\r\n", SIZED + SIZED])
def test_bytes_behind_an_answer_are_reported_once(rest: bytes) -> None:
    async def scenario() -> None:
        for pieces in ([SIZED + rest], [SIZED, rest]):
            heard = Heard().hear(*pieces)
            assert (await heard.all()).startswith(SAID)
            assert set(heard.wire.did) == {"abort"}
            assert heard.left == ["freed", "unasked"]

    run(scenario())


@pytest.mark.parametrize("rest", [b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n", b"\r\n"])
def test_what_a_server_says_before_it_closes_an_idle_connection_is_harmless(rest: bytes) -> None:
    async def scenario() -> None:
        heard = Heard().hear(SIZED, rest)
        assert (await heard.all()).startswith(SAID)
        assert heard.wire.did == ["abort"]
        assert heard.left == ["freed"]

    run(scenario())


CODINGS = [
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: gzip",
    b"Transfer-Encoding: chunked, gzip",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding:",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Encoding: gzip",
    b"Content-Length: 5\r\nContent-Encoding: br",
]


@pytest.mark.parametrize("coding", CODINGS, ids=bytes.decode)
@pytest.mark.parametrize("end", [b"0\r\n\r\n", b""], ids=["ended", "open"])
def test_an_answer_in_another_coding_is_not_read(coding: bytes, end: bytes) -> None:
    async def scenario() -> None:
        heard = Heard().hear(b"HTTP/1.1 200 OK\r\n" + coding + b"\r\n\r\n", b"5\r\nhello\r\n" + end)
        with pytest.raises(httpx.RemoteProtocolError):
            await heard.exchange.head()
        assert heard.exchange.parts == []
        assert heard.left == []
        assert heard.wire.is_closing()

    run(scenario())


@pytest.mark.parametrize("coding", [b"Transfer-Encoding: Chunked ", b"Content-Encoding: identity"])
def test_a_coding_that_changes_nothing_is_read(coding: bytes) -> None:
    async def scenario() -> None:
        length = b"" if b"Transfer" in coding else b"\r\nContent-Length: 10"
        heard = Heard().hear(b"HTTP/1.1 200 OK\r\n" + coding + length + b"\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n")
        assert b"hello" in await heard.all()

    run(scenario())


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_an_answer_that_can_not_have_a_body_ends_with_its_head(status: bytes) -> None:
    async def scenario() -> None:
        heard = Heard().hear(b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\n")
        assert await heard.exchange.head() == int(status[:3])
        assert await heard.all() == b""
        assert heard.left == ["freed"]
        heard.hear(b"hello")
        assert heard.left == ["freed", "unasked"]

    run(scenario())


def test_only_http_1_1_keeps_a_connection() -> None:
    async def scenario() -> None:
        keeping = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
        heard = Heard().hear(keeping, CHUNKED[len(HEAD) :])
        assert (await heard.all()).startswith(SAID)
        assert heard.left == []
        assert heard.wire.did == ["close"]
        heard = Heard().hear(SIZED.replace(b"HTTP/1.1", b"HTTP/2.0"))
        with pytest.raises(httpx.RemoteProtocolError):
            await heard.exchange.head()

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
        for heard, seconds in ((old, KEEP_ALIVE), (new, REST)):
            pool.take_back(heard.connection)
            heard.connection.idle_since -= seconds
        pool.sweep()
        assert old.wire.did == ["close"]
        assert new.wire.did == []
        assert await pool.take() is new.connection
        await pool.aclose()

    run(scenario())


# Whether a kept connection may be used again


class Server:
    """An upstream on a real socket that answers each request with a number, and may say more than it was asked."""

    def __init__(self, unasked: bytes = b"", delay: float = 0.0) -> None:
        self.unasked = unasked
        self.delay = delay
        self.connections = 0
        self.asked = 0
        self.tasks: list[asyncio.Task[None] | None] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.tasks.append(asyncio.current_task())
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.asked += 1
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n%06d" % self.asked)
                if self.unasked:
                    asyncio.get_running_loop().call_later(self.delay, writer.write, self.unasked)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def asking(pool: Pool) -> bytes:
    """What a request on a connection of the pool is answered."""
    connection = await pool.take()
    exchange = connection.send(b"GET / HTTP/1.1\r\n\r\n", b"", has_body=True)
    said = b""
    while data := await exchange.read():
        said += data
    return said


@asynccontextmanager
async def pool_of(server: Server, *, keep_alive: bool = True) -> AsyncIterator[Pool]:
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    pool = Pool("127.0.0.1", listener.sockets[0].getsockname()[1], None, 5, keep_alive=keep_alive)
    try:
        yield pool
    finally:
        await pool.aclose()
        listener.close()
        await asyncio.wait([task for task in server.tasks if task is not None])


def rest(pool: Pool) -> None:
    """Lets the kept connections have rested."""
    for connection in pool.resting:
        connection.idle_since -= REST


def test_a_connection_is_used_again() -> None:
    async def scenario() -> None:
        server = Server()
        async with pool_of(server) as pool:
            for number in range(1, 9):
                assert await asking(pool) == b"%06d" % number
            assert server.connections == 1

    run(scenario())


def test_a_connection_that_has_rested_comes_first_and_else_the_one_that_rests_longest() -> None:
    async def scenario() -> None:
        pool = Pool("127.0.0.1", 1, None, 1)
        first, second, third = Heard(), Heard(), Heard()
        for heard, rested in ((first, 2 * REST), (second, REST), (third, 0.0)):
            pool.take_back(heard.connection)
            heard.connection.idle_since -= rested
        assert await pool.take() is second.connection
        assert await pool.take() is first.connection
        pool.take_back(first.connection)
        assert await pool.take() is third.connection
        assert await pool.take() is first.connection
        await pool.aclose()

    run(scenario())


def test_without_keep_alive_each_connection_serves_once() -> None:
    async def scenario() -> None:
        server = Server()
        async with pool_of(server, keep_alive=False) as pool:
            for _ in range(5):
                await asking(pool)
                rest(pool)
            assert server.connections == server.asked == 5

    run(scenario())


def test_bytes_that_wait_in_the_socket_keep_a_connection_from_being_used(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        server = Server(SIZED)
        async with pool_of(server) as pool:
            assert await asking(pool) == b"000001"
            (kept,) = pool.resting
            rest(pool)
            assert kept.poll(5000)  # milliseconds, in which the loop does not get to read them
            assert await asking(pool) == b"000002"
            assert server.connections == 2
            while pool.loop.time() >= pool.single_use_until:  # noqa: ASYNC110 -- the loop reads them in its next turns
                await asyncio.sleep(0)
            before = server.connections
            for _ in range(5):
                await asking(pool)
                rest(pool)
            assert server.connections == before + 5

    run(scenario())
    (line,) = (message for message in caplog.messages if "without a request" in message)
    assert "UPSTREAM_KEEPALIVE" in line


def test_an_end_that_waits_in_the_socket_distrusts_nobody() -> None:
    async def scenario() -> None:
        server = Server()
        async with pool_of(server) as pool:
            await asking(pool)
            (kept,) = pool.resting
            rest(pool)
            kept.transport.get_extra_info("socket").shutdown(socket.SHUT_RD)
            await asking(pool)
            assert server.connections == 2
            assert pool.single_use_until < 0

    run(scenario())


def test_an_answer_that_comes_late_goes_to_nobody_else() -> None:
    """A second answer 0 to 3 ms after each: once one was seen, no caller of thousands gets another's."""

    async def scenario() -> None:
        server = Server(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nUNASKD")
        random = Random(4)  # noqa: S311 -- the same delays each time
        leaked = 0
        async with pool_of(server) as pool:

            async def caller() -> None:
                nonlocal leaked
                for _ in range(250):
                    server.delay = random.uniform(0, 0.003)
                    is_distrusted = pool.loop.time() < pool.single_use_until
                    is_unasked = await asking(pool) == b"UNASKD"
                    leaked += is_unasked
                    assert not (is_distrusted and is_unasked)

            await asyncio.gather(*(caller() for _ in range(8)))
        assert server.asked == 2000
        assert leaked <= 8  # one a caller at most, before the first was seen
        assert server.connections > 1900

    run(scenario())
