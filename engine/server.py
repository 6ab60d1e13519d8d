"""The engine's ASGI application: Ollama's routes, in front of llama.cpp."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from engine import v1
from engine.api import Api
from engine.catalogue import Catalogue
from engine.errors import Refusal
from engine.exchange import JSON, NDJSON, PLAIN, SSE, Exchange, Receive, Send, read_body, until_gone
from engine.llama import SLOTS, Llama
from engine.wire import dumps

Handler = Callable[[Exchange], Awaitable[None]]


class Application:
    """Speaks Ollama's protocol for one model; work for a client that leaves is dropped at once."""

    def __init__(self, llama: Llama, model: Path) -> None:
        # Waiters of a semaphore are served in the order in which they came.
        turns = asyncio.Semaphore(SLOTS)
        api, catalogue, passing = Api(llama, turns), Catalogue(model), v1.Pass(llama, turns)
        self.routes: dict[str, tuple[tuple[str, ...], Handler]] = {
            "/": (("GET", "HEAD"), catalogue.root),
            "/api/version": (("GET", "HEAD"), catalogue.version),
            "/api/tags": (("GET", "HEAD"), catalogue.tags),
            "/api/ps": (("GET",), catalogue.ps),
            "/api/show": (("POST",), catalogue.show),
            "/api/generate": (("POST",), api.generate),
            "/api/chat": (("POST",), api.chat),
            "/api/embed": (("POST",), api.embed),
            "/api/embeddings": (("POST",), api.embeddings),
            "/api/pull": (("POST",), catalogue.unchangeable),
            "/api/push": (("POST",), catalogue.unchangeable),
            "/api/create": (("POST",), catalogue.unchangeable),
            "/api/copy": (("POST",), catalogue.unchangeable),
            "/api/delete": (("DELETE",), catalogue.unchangeable),
            "/v1/models": (("GET",), catalogue.models),
            v1.CHAT: (("POST",), passing.generation),
            v1.COMPLETIONS: (("POST",), passing.generation),
            v1.RESPONSES: (("POST",), passing.generation),
            v1.MESSAGES: (("POST",), passing.generation),
            v1.COUNT: (("POST",), passing.count),
            v1.EMBEDDINGS: (("POST",), passing.embeddings),
        }
        self.one_model: tuple[tuple[str, ...], Handler] = (("GET",), catalogue.model)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serves one HTTP request until it is answered or its client leaves."""
        if scope["type"] != "http":
            return
        exchange = Exchange(scope["method"], scope["path"], b"", send)
        try:
            body = await read_body(receive)
        except Refusal as refusal:
            await refuse(exchange, refusal)
            return
        if body is None:
            return
        exchange.body = body
        work = asyncio.ensure_future(self.answer(exchange))
        gone = asyncio.ensure_future(until_gone(receive))
        both = {work, gone}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.wait(both)
        if not work.cancelled():
            work.result()

    async def answer(self, exchange: Exchange) -> None:
        """Answers with the route's handler, or with an error in the path's dialect."""
        methods, handler = self.find(exchange.path)
        if handler is None:
            await exchange.whole(404, b"404 page not found", PLAIN)
        elif exchange.method not in methods:
            await exchange.whole(405, b"405 method not allowed", PLAIN, {"allow": ", ".join(methods)})
        else:
            try:
                await handler(exchange)
            except Refusal as refusal:
                await refuse(exchange, refusal)
            except (OSError, EOFError):
                await refuse(exchange, Refusal(500, "the demo model stopped unexpectedly: try again"))

    def find(self, path: str) -> tuple[tuple[str, ...], Handler | None]:
        """Returns the methods and the handler of a path, None where there is nothing."""
        if path.startswith("/v1/models/"):
            return self.one_model
        return self.routes.get(path, ((), None))


async def refuse(exchange: Exchange, refusal: Refusal) -> None:
    """Answers with an error: as a status, or within a stream that has begun."""
    value = v1.error(exchange.path, refusal)
    if not exchange.started:
        ending = b"\n" if exchange.path.startswith("/v1/") else b""
        await exchange.whole(refusal.status, dumps(value) + ending, JSON)
        return
    if exchange.path.startswith(v1.MESSAGES):
        await exchange.piece(b"event: error\ndata: " + dumps(value) + b"\n\n", SSE)
    elif exchange.path.startswith("/v1/"):
        await exchange.piece(b"data: " + dumps(value) + b"\n\n", SSE)
    else:
        await exchange.piece(dumps(value) + b"\n", NDJSON)
    await exchange.end()
