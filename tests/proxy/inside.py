"""The application within the test's own process, for what a test can't see from outside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import uvicorn
from django.conf import settings
from uvicorn.server import ServerState

from gateway.asgi import application
from gateway.protocol import CappedProtocol
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


@asynccontextmanager
async def listening() -> AsyncIterator[int]:
    """Serves the application on a port of this process, on uvicorn's protocol as the server has it."""
    config = uvicorn.Config(application, http=CappedProtocol, lifespan="off", access_log=False, log_config=None)
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(lambda: CappedProtocol(config, state, {}), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        while state.tasks or state.connections:  # noqa: ASYNC110 -- uvicorn's state tells nobody of its changes
            await asyncio.sleep(0.01)
        await server.wait_closed()


class Body(httpx.AsyncByteStream):
    """An answer's body that a generator gives."""

    def __init__(self, parts: AsyncIterator[bytes]) -> None:
        self.parts = parts

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.parts


async def exchange(path: str, body: object, key: str = "", address: str = "127.0.0.1") -> Answer:
    """Sends one request to the application; returns its answer, which must be whole."""
    raw = json.dumps(body).encode()
    headers = [(b"host", b"127.0.0.1"), (b"content-length", str(len(raw)).encode())]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": headers + ([(b"x-api-key", key.encode())] if key else []),
        "client": (address, 1),
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
