"""Clients that leave, leave nothing behind: no task, no connection, no object, no memory."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import random
import socket

import psutil
import pytest

from benchmarks.stub_client import StubProcess
from proxy.live import live
from tests.proxy.wire import RESET
from usage.metrics import metrics
from usage.refused_calls import refused_calls

pytestmark = pytest.mark.anyio

MOMENTS = ("[[hang=1]]", "[[header_pause_ms=60000]]", "[[chunks=9 hang_after=3]]", "[[endless=1]]", "a b c")


async def leave(port: int, key: str, source: random.Random) -> None:
    """Asks, and leaves at some moment in some way."""
    prompt = source.choice(MOMENTS)
    body = json.dumps({"prompt": prompt, "stream": "endless" in prompt or source.random() < 0.7}).encode()
    if source.random() < 0.1:
        body = body[:5]
    fields = f"Host: 127.0.0.1\r\nX-API-Key: {key}\r\nContent-Length: {max(9, len(body))}\r\n\r\n"
    sock = socket.create_connection(("127.0.0.1", port))
    sock.settimeout(0)
    try:
        await asyncio.get_running_loop().sock_sendall(
            sock, f"POST /api/v1/generate HTTP/1.1\r\n{fields}".encode() + body
        )
        await asyncio.sleep(source.choice([0, 0.001, 0.01, 0.03]))  # any moment, not one to wait for
        if source.random() < 0.5:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    finally:
        sock.close()


async def leave_often(port: int, key: str, times: int) -> None:
    """Leaves so many times, ten at once."""
    source = random.Random(times)  # noqa: S311 -- repeatable moments
    for _ in range(times // 10):
        await asyncio.gather(*(leave(port, key, source) for _ in range(10)))


async def settled(stub: StubProcess, tasks: int) -> int:
    """Waits until nothing is under way and so many tasks are left; returns how many objects there are."""
    async with asyncio.timeout(5):
        while live.calls or len(asyncio.all_tasks()) > tasks or stub.under_way():  # noqa: ASYNC110 -- nobody tells
            await asyncio.sleep(0.05)
    stub.reset()
    metrics.before_reading()  # calls that are over wait a moment to be counted
    refused_calls.take()  # as the thread does that stores them
    gc.collect()
    return len(gc.get_objects())


@pytest.mark.parametrize("times", [100, pytest.param(1000, marks=pytest.mark.long)])
async def test_leaving_leaves_nothing(
    stub: StubProcess, port: int, inside_key: str, caplog: pytest.LogCaptureFixture, times: int
) -> None:
    caplog.set_level(logging.WARNING, logger="gateway.calls")
    tasks = len(asyncio.all_tasks())
    await leave_often(port, inside_key, 200)  # fills pools and caches
    objects = await settled(stub, tasks)
    memory = psutil.Process().memory_info().rss
    await leave_often(port, inside_key, times)
    # Each call makes hundreds of objects: one that stays would be seen a hundred times over.
    assert await settled(stub, tasks) - objects < times / 2
    assert psutil.Process().memory_info().rss - memory < 2 * 2**20
    assert caplog.text == ""
