"""The stub itself: what its connections share, and the loop that they run on."""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import sys
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote

import uvloop

from benchmarks.stub import control, errors, origins
from benchmarks.stub.answer import Whole
from benchmarks.stub.connection import Connection
from benchmarks.stub.knobs import DEFAULT
from benchmarks.stub.names import CATALOGUE
from benchmarks.stub.ready import READY_MOST, Ready, prepare
from benchmarks.stub.record import Exchange, Recorder
from benchmarks.stub.refusal import Refusal
from benchmarks.stub.routes import Reply, Request, State, match, unmatched
from benchmarks.stub.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.stub.errors import Surface

FORBIDDEN = Whole(b"", 403, None)
allows_one = lru_cache(maxsize=1024)(lambda headers: origins.allows(list(headers)))


class Stub:
    """All that is shared: the record, the ready answers, the models' turns."""

    shaped = staticmethod(errors.shaped)

    def __init__(self, *, models: tuple[str, ...] = CATALOGUE, old: bool = False, record: int = 10_000) -> None:
        self.state = State(models, old)
        self.recorder = Recorder(record)
        self.ready: dict[tuple[str, str, int], Ready] = {}
        self.state.on_load = self.ready.clear  # what is ready loads nothing
        self.turns = Turns()
        self.open: set[Connection] = set()

    def allows(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Tells whether Host and Origin are such as Ollama serves."""
        relevant = tuple(pair for pair in headers if pair[0].lower() in (b"host", b"origin"))
        return allows_one(relevant)

    def reply(self, exchange: Exchange) -> tuple[str, Reply]:
        """Finds a request's route and asks it for its reply."""
        if not self.allows(exchange.headers):
            return "forbidden", Reply(FORBIDDEN, DEFAULT)
        path = unquote(exchange.target.partition("?")[0])
        found = match(exchange.method, path)
        if not found:
            return "none", Reply(unmatched(exchange.method, exchange.target), DEFAULT)
        route, argument = found
        default = self.state.behaviour.get(path, "") + (" old=1" if self.state.old else "")
        try:
            reply = route.reply(Request(exchange.body, argument, self.state, default))
        except Refusal as refusal:
            reply = Reply(errors.shaped(refusal, route.surface), DEFAULT)
        return route.name, reply

    def surface(self, exchange: Exchange) -> Surface:
        """Returns the surface of a request's route."""
        found = match(exchange.method, unquote(exchange.target.partition("?")[0]))
        return found[0].surface if found else "native"

    def keep(self, exchange: Exchange, reply: Reply) -> Ready | None:
        """Keeps a reply ready, if the same request will always get the same."""
        if not reply.turn or not reply.knobs.ordinary:
            return None
        if len(self.ready) >= READY_MOST:
            self.ready.clear()
        ready = prepare(exchange.body, exchange.route, reply)
        self.ready[exchange.method, exchange.target, len(exchange.body)] = ready
        return ready

    def control(self, exchange: Exchange) -> Whole:
        """Answers a control request; raises Refusal."""
        self.ready.clear()
        return control.control(exchange.method, exchange.target, exchange.body, self.recorder, self.state)


async def serve(stub: Stub, host: str, port: int, *, until_stdin_closes: bool) -> None:
    """Listens until it is told to stop, and says where on the first line of its output."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    if until_stdin_closes:
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        waiting = loop.create_task(reader.read())
        waiting.add_done_callback(lambda _: stopped.set())
    server = await loop.create_server(lambda: Connection(stub), host, port, backlog=1024)
    family, address = server.sockets[0].family, server.sockets[0].getsockname()
    shown = f"[{address[0]}]" if family == socket.AF_INET6 else address[0]
    sys.stdout.write(f"listening on http://{shown}:{address[1]}\n")
    sys.stdout.flush()
    await stopped.wait()
    server.close()
    for connection in list(stub.open):
        connection.transport.abort()


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the stub from the command line."""
    parser = argparse.ArgumentParser(
        description="A fake Ollama that says what it is told to; see benchmarks/README.md."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=11434, help="0 for any that is free")
    parser.add_argument("--models", default=",".join(CATALOGUE), help="names that tags lists; empty for none")
    parser.add_argument("--old-chunks", action="store_true", help="chat chunks as before Ollama 0.32.6")
    parser.add_argument("--record", type=int, default=10_000, help="how many requests to remember; 0 for none")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when the parent does")
    options = parser.parse_args(arguments)
    models = tuple(model for model in options.models.split(",") if model)
    stub = Stub(models=models, old=options.old_chunks, record=options.record)
    uvloop.run(serve(stub, options.host, options.port, until_stdin_closes=options.until_stdin_closes))
