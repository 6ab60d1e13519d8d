"""llama.cpp inside this process, and the way to its own HTTP server on a loopback port."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from engine.errors import EngineError, Refusal
from engine.frames import Frames, payload
from engine.model import CONTEXT, NAME

SLOTS = 2  # conversations at once
TEMPERATURE = 0.2  # a model this small rambles above it
BATCH = 256  # tokens between two chances to stop while a prompt is read; also the longest embedded text
READERS = 4  # threads that read prompts; more only costs the machine's other programs
WRITERS = 1  # threads that write a single answer; a second one gains little and loses much on a busy machine
HEAD_LIMIT = 1 << 16


class Llama:
    """A loaded model behind llama.cpp's server, which only this process has the key to."""

    def __init__(self, model: Path) -> None:
        """Loads the model, which takes about half a second.

        Raises EngineError when the native library or the file is not usable.
        """
        self._key = secrets.token_urlsafe(32)
        native = load_library()
        try:
            self._server = native.Server(parameters(native, model, self._key))
        except Exception as error:
            raise EngineError(
                f"llama.cpp can't load {model} ({error}): remove the file, so that it is fetched again"
            ) from error
        address = urlsplit(self._server.listening_address)
        self._host, self._port = address.hostname or "127.0.0.1", address.port or 0

    @contextlib.asynccontextmanager
    async def post(self, path: str, body: object) -> AsyncIterator[Reply]:
        """Sends a request and gives its answer as soon as its head is there; leaving early stops the work."""
        content = json.dumps(body).encode()
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=HEAD_LIMIT)
        try:
            writer.write(
                f"POST {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nAuthorization: Bearer {self._key}\r\n"
                "Content-Type: application/json\r\nConnection: close\r\n"
                f"Content-Length: {len(content)}\r\n\r\n".encode()
                + content
            )
            await writer.drain()
            yield await read_head(reader)
        finally:
            # A reset makes llama.cpp's next write fail, which is how it learns that nobody listens any more.
            writer.transport.abort()

    async def ask(self, path: str, body: object) -> Any:
        """Sends a request and returns its whole JSON answer.

        Raises Refusal with llama.cpp's status and words when it refuses.
        """
        async with self.post(path, body) as reply:
            answer = json.loads(await reply.read())
            reply.check(answer)
            return answer


@dataclass
class Reply:
    """The answer to a request whose body may still be arriving."""

    status: int
    content_type: str
    chunked: bool
    length: int | None
    reader: asyncio.StreamReader

    async def pieces(self) -> AsyncIterator[bytes]:
        """Gives the body as it arrives."""
        if not self.chunked:
            yield await (self.reader.read() if self.length is None else self.reader.readexactly(self.length))
            return
        while size := int((await self.reader.readline()).split(b";")[0] or b"0", 16):
            yield await self.reader.readexactly(size)
            await self.reader.readexactly(2)

    async def read(self) -> bytes:
        """Returns the whole body."""
        return b"".join([piece async for piece in self.pieces()])

    async def frames(self) -> AsyncIterator[bytes]:
        """Gives the frames of an event stream.

        Raises Refusal when the answer is an error instead.
        """
        if self.status != 200:  # noqa: PLR2004 -- HTTP's own number
            self.check(json.loads(await self.read()))
        frames = Frames()
        async for piece in self.pieces():
            for frame in frames.feed(piece):
                yield frame

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """Gives the JSON objects of an event stream.

        Raises Refusal for an error before or in the middle of it.
        """
        async for frame in self.frames():
            event = payload(frame)
            if event is not None:
                self.check(event)
                yield event

    def check(self, answer: object) -> None:
        """Raises Refusal when the answer is llama.cpp's error object."""
        error = answer.get("error") if isinstance(answer, dict) else None
        if error is not None or self.status != 200:  # noqa: PLR2004
            detail = error if isinstance(error, dict) else {"message": str(error or "llama.cpp failed")}
            raise Refusal(int(detail.get("code") or self.status), str(detail.get("message", "llama.cpp failed")))


async def read_head(reader: asyncio.StreamReader) -> Reply:
    """Reads the status line and the headers of an answer."""
    status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = headers.get("content-length")
    return Reply(
        status=int(status.split()[1]),
        content_type=headers.get("content-type", "application/json"),
        chunked=headers.get("transfer-encoding", "").lower() == "chunked",
        length=None if length is None else int(length),
        reader=reader,
    )


def load_library() -> Any:
    """Imports the native package.

    Raises EngineError that names the missing piece.
    """
    # Threads that wait for each other sleep: spinning, they starve on a machine that has other work.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        return importlib.import_module("xllamacpp")
    except ImportError as error:
        reason = str(error)
    if "libgomp" in reason:
        raise EngineError("The demo engine needs libgomp.so.1: install Debian's package libgomp1, or set OLLAMA_URL")
    if "No module named" in reason:
        raise EngineError("The demo engine isn't installed: run pip install -r requirements/engine.txt")
    raise EngineError(f"The demo engine doesn't run on this system ({reason}): set OLLAMA_URL to an Ollama of yours")


def parameters(native: Any, model: Path, key: str) -> Any:
    """Returns llama.cpp's settings: what the demo model needs to answer sensibly, and nothing open to others."""
    chosen = native.CommonParams()
    chosen.model.path = str(model)
    chosen.model_alias = {NAME}
    chosen.n_parallel = SLOTS
    chosen.n_ctx = SLOTS * CONTEXT
    chosen.n_batch = chosen.n_ubatch = BATCH
    chosen.cpuparams.n_threads = WRITERS
    chosen.cpuparams_batch.n_threads = min(READERS, os.cpu_count() or 1)
    chosen.chat_template = "chatml"  # the one inside the file makes it answer nonsense
    chosen.sampling.temp = TEMPERATURE
    chosen.embedding = True
    chosen.pooling_type = native.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    chosen.fit_params = False  # measuring the memory first would double the time of a start
    chosen.cache_ram_mib = 0
    chosen.api_keys = [key]
    chosen.port = 0
    chosen.ui = False
    chosen.endpoint_slots = False
    chosen.sse_ping_interval = -1  # Ollama sends no pings
    chosen.verbosity = -1
    return chosen
