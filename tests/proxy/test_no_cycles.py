"""Whichever way a request on the lane ends, all that it made is freed: nothing waits for the garbage collector.

A server whose garbage waits looks like one that leaks, for hours: full collections are rare.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks.stub_client import StubProcess
from proxy.live import live
from tests.proxy.wire import RESET
from usage.metrics import metrics

pytestmark = pytest.mark.anyio

TIMES = 5
SLOW = "[[chunks=200 interval_ms=20]]"


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The server's own loop: asyncio's transports hold themselves."""
    return "asyncio", {"use_uvloop": True}


def listing(key: str, path: str, fields: str) -> bytes:
    """Returns the bytes of a request without a body."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {key}\r\n{fields}\r\n".encode()


def request(key: str, prompt: str, *, stream: bool, fields: str = "Connection: close\r\n", cut: int = 0) -> bytes:
    """Returns a request's bytes, without the last ones of its body if it is to be cut."""
    body = json.dumps({"prompt": prompt, "stream": stream}).encode()
    head = f"Host: 127.0.0.1\r\nX-API-Key: {key}\r\nContent-Length: {len(body)}\r\n{fields}\r\n"
    return f"POST /api/v1/generate HTTP/1.1\r\n{head}".encode() + body[: len(body) - cut]


async def ask(port: int, data: bytes, leave_after: int | None) -> None:
    """Sends bytes and reads to the end, or leaves once so many bytes have come."""
    loop = asyncio.get_running_loop()
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.settimeout(0)
        await loop.sock_sendall(sock, data)
        size = 0
        while leave_after is None or size < leave_after:
            part = await loop.sock_recv(sock, 65536)
            if not part:
                return
            size += len(part)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


@contextmanager
def garbage() -> Iterator[Counter[str]]:
    """Counts the objects that only the garbage collector could free, by type."""
    found: Counter[str] = Counter()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        found.update(type(one).__name__ for one in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


ENDINGS = {
    "an answer": ("a b", False, "Connection: close\r\n", 0, None),
    "a stream": ("a b", True, "Connection: close\r\n", 0, None),
    "an idle connection that its client resets": ("a b", False, "", 0, 200),
    "a client that leaves a stream": (SLOW, True, "", 0, 300),
    "a client that leaves before its answer": ("[[header_pause_ms=60000]]", False, "", 0, 0),
    "a client that leaves within its body": ("a b", False, "", 5, 0),
    "an upstream that fails": ("[[status=500]]", True, "Connection: close\r\n", 0, None),
    "an upstream that fails within its answer": ("[[chunks=9 error_after=3]]", True, "Connection: close\r\n", 0, None),
    "an upstream that breaks off": ("[[chunks=9 die_after=3]]", True, "Connection: close\r\n", 0, None),
    "an upstream that breaks off early": ("[[chunks=9 die_after=0]]", False, "Connection: close\r\n", 0, None),
    "a refusal": ("", False, "Connection: close\r\nContent-Encoding: gzip\r\n", 0, None),
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())
async def test_it_leaves_nothing_to_the_garbage_collector(
    stub: StubProcess,
    port: int,
    inside_key: str,
    caplog: pytest.LogCaptureFixture,
    ending: tuple[str, bool, str, int, int | None],
) -> None:
    caplog.set_level(logging.WARNING, logger="gateway.calls")
    prompt, stream, fields, cut, leave_after = ending
    data = request(inside_key, prompt, stream=stream, fields=fields, cut=cut)
    await leaves_nothing(stub, port, data, leave_after)


@pytest.mark.parametrize("fields", ["", "Origin: http://else.where\r\n"], ids=["plain", "of a browser"])
@pytest.mark.parametrize("path", ["/api/tags", "/v1/models", "/api/version", "/no/such/path"])
async def test_nor_does_a_request_without_a_body(
    stub: StubProcess, port: int, inside_key: str, path: str, fields: str
) -> None:
    await leaves_nothing(stub, port, listing(inside_key, path, f"Connection: close\r\n{fields}"), None)


@pytest.mark.parametrize("path", ["/health", "/metrics", "/", "/docs", "/admin/"])
async def test_a_page_leaves_no_connection(port: int, inside_key: str, path: str) -> None:
    """Django's own way leaves tracebacks of its own, which must not hold more than themselves."""
    await leaves(port, listing(inside_key, path, "Connection: close\r\n"))  # what is made once is made now
    with garbage() as found:
        await leaves(port, listing(inside_key, path, "Connection: close\r\n"))
    assert not found.keys() & {"CappedProtocol", "Cycle", "TCPTransport", "HttpRequestParser"}, found


async def leaves(port: int, data: bytes) -> None:
    """Sends bytes some times, and waits until all that works for them has ended."""
    tasks = len(asyncio.all_tasks())
    for _ in range(TIMES):
        await ask(port, data, None)
    async with asyncio.timeout(5):
        while len(asyncio.all_tasks()) > tasks:  # noqa: ASYNC110 -- nobody tells
            await asyncio.sleep(0.02)


async def leaves_nothing(stub: StubProcess, port: int, data: bytes, leave_after: int | None) -> None:
    """Sends bytes some times, and fails if each time left something."""
    tasks = len(asyncio.all_tasks())

    async def often() -> None:
        for _ in range(TIMES):
            await ask(port, data, leave_after)
        async with asyncio.timeout(5):
            while live.calls or len(asyncio.all_tasks()) > tasks or stub.under_way():  # noqa: ASYNC110 -- nobody tells
                await asyncio.sleep(0.02)
        metrics.before_reading()  # calls that are over wait a moment to be counted

    await often()  # what is made once is made now
    with garbage() as found:
        await often()
    assert not [name for name, count in found.items() if count >= TIMES], found
