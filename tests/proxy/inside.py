"""The application within the test's own process, for what a test can't see from outside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from django.conf import settings

from gateway.asgi import application
from proxy.running import policy_of, running
from proxy.upstream import Upstream
from tests.proxy.wire import Answer
from usage.journal import Journal

Message = MutableMapping[str, Any]


@contextmanager
def upstream_of(answer: Callable[[httpx.Request], Any]) -> Iterator[None]:
    """Lets a function stand for Ollama's inference; nothing else is there."""

    def answer_of(request: httpx.Request) -> Any:
        return answer(request) if request.method == "POST" else httpx.Response(404)

    with serving(Upstream("http://ollama.test", httpx.MockTransport(answer_of), {}, 5)):
        yield


@contextmanager
def serving(upstream: Upstream) -> Iterator[None]:
    """Opens what the application needs, but for the feed of keys, with this upstream."""
    before = dict(vars(running))
    running.policy = policy_of(settings.ENV, settings.OLLAMA_MODEL)
    running.upstream = upstream
    with TemporaryDirectory() as folder:
        running.journal = running.door.journal = Journal(Path(folder))
        running.journal.open()
        try:
            yield
        finally:
            running.journal.close()
            vars(running).clear()
            vars(running).update(before)


class Body(httpx.AsyncByteStream):
    """An answer's body that a generator gives."""

    def __init__(self, parts: AsyncIterator[bytes]) -> None:
        self.parts = parts

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.parts


async def exchange(path: str, body: object, key: str = "", method: str = "POST") -> Answer:
    """Sends one request to the application; returns its answer, which must be whole."""
    raw = json.dumps(body).encode()
    headers = [(b"host", b"127.0.0.1"), (b"content-length", str(len(raw)).encode())]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": headers + ([(b"x-api-key", key.encode())] if key else []),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    inbox = [{"type": "http.request", "body": raw, "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        if inbox:
            return inbox.pop()
        return await asyncio.get_running_loop().create_future()

    async def send(message: Message) -> None:
        sent.append(message)

    await application(scope, receive, send)
    assert sent[0]["type"] == "http.response.start"
    assert [bool(message.get("more_body")) for message in sent[1:]] == [True] * (len(sent) - 2) + [False]
    fields = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], fields, b"".join(message.get("body", b"") for message in sent[1:]))
