"""The machine lane's promise: no request of a program starts a thread, waits for one, or asks the database."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from asgiref.current_thread_executor import CurrentThreadExecutor
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from apikeys.keys import BASE62, generate
from tests.proxy.inside import exchange, upstream_of
from tests.proxy.wire import Answer

pytestmark = pytest.mark.anyio

WATCHED: tuple[tuple[type, str], ...] = (
    (threading.Thread, "start"),
    (ThreadPoolExecutor, "submit"),
    (CurrentThreadExecutor, "submit"),
    (BaseDatabaseWrapper, "ensure_connection"),
    (CursorWrapper, "execute"),
    (CursorWrapper, "executemany"),
)


@contextmanager
def watching(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Counts threads started, work handed to threads, and questions to the database."""
    counts: Counter[str] = Counter()

    def counted(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            counts[name] += 1
            return method(*arguments, **named)

        return call

    with monkeypatch.context() as patch:
        for kind, name in WATCHED:
            patch.setattr(kind, name, counted(f"{kind.__name__}.{name}", getattr(kind, name)))
        yield counts


async def ask(port: int, path: str, body: object, key: str = "", method: str = "POST") -> Answer:
    """Sends one request over a socket."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    data = json.dumps(body).encode()
    fields = f"Host: 127.0.0.1\r\nConnection: close\r\nX-API-Key: {key}\r\nContent-Length: {len(data)}\r\n\r\n"
    writer.write(f"{method} {path} HTTP/1.1\r\n{fields}".encode() + data)
    raw = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _blank, content = raw.partition(b"\r\n\r\n")
    return Answer(int(head.split()[1]), {}, content)


@pytest.mark.parametrize("path", ["/api/v1/generate", "/api/v1/chat", "/api/v1/completions"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_served_request_hops_nowhere(
    port: int, inside_key: str, monkeypatch: pytest.MonkeyPatch, path: str, *, stream: bool
) -> None:
    body = {"prompt": "a b c", "messages": [{"role": "user", "content": "a b c"}], "stream": stream}
    threads = threading.active_count()
    with watching(monkeypatch) as counts:
        for _ in range(3):
            answer = await ask(port, path, body, inside_key)
            assert answer.status == 200
            assert b"c" in answer.body
    assert counts == {}
    assert threading.active_count() == threads


@pytest.mark.parametrize(
    ("path", "body", "method", "status"),
    [
        ("/api/v1/generate", {"prompt": "a"}, "POST", 401),
        ("/api/v1/nothing", {}, "POST", 404),
        ("///api/v1/generate", {}, "POST", 404),
        ("/nothing", {}, "GET", 404),
        ("/api/v1/generate", {}, "DELETE", 405),
    ],
)
async def test_a_refused_request_hops_nowhere(  # noqa: PLR0913 -- one a column
    port: int, monkeypatch: pytest.MonkeyPatch, path: str, body: object, method: str, status: int
) -> None:
    with watching(monkeypatch) as counts:
        answer = await ask(port, path, body, method=method)
    assert answer.status == status
    assert counts == {}


async def test_a_request_that_is_refused_with_a_key_hops_nowhere(
    port: int, inside_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watching(monkeypatch) as counts:
        for body, status in (
            ({}, 400),
            ({"prompt": "a", "model": "missing"}, 404),
            ({"prompt": "[[status=500]]"}, 500),
        ):
            assert (await ask(port, "/api/v1/generate", body, inside_key)).status == status
    assert counts == {}


async def test_people_do_hop_so_that_this_would_be_seen(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with watching(monkeypatch) as counts:
        await ask(port, "/api/info", None, method="GET")
    assert counts["ThreadPoolExecutor.submit"] > 0
    assert counts["Thread.start"] > 0


async def test_ten_thousand_invalid_keys_cost_no_query(
    inside_key: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="gateway.calls")
    source = random.Random(1)  # noqa: S311 -- repeatable nonsense
    with upstream_of(pytest.fail), watching(monkeypatch) as counts:
        for number in range(10_000):
            kind = number % 4
            if kind == 0:  # well-formed, of nobody
                text = generate().text
            elif kind == 1:  # well-formed, with the id of somebody
                text = generate().text
                text = text[:7] + inside_key[7:19] + text[19:]
            elif kind == 2:  # somebody's, mistyped
                at = source.randrange(20, len(inside_key))
                text = inside_key[:at] + source.choice(BASE62.replace(inside_key[at], "")) + inside_key[at + 1 :]
            else:
                text = "".join(source.choices(BASE62 + "_-. ", k=source.randrange(1, 100))).strip() or "x"
            address = f"10.1.{number // 256}.{number % 256}"  # one that guesses often is not even looked at
            answer = await exchange("/api/v1/generate", {"prompt": "a"}, text, address)
            assert answer.status == 401
    assert counts == {}
