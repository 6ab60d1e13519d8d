"""Which local models of this Ollama stand for cloud ones, as far as it has said."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from time import monotonic
from typing import TYPE_CHECKING, Any

import orjson

from proxy.dialects.base import object_of
from proxy.exceptions import UpstreamError
from proxy.names import readings
from proxy.upstream import BROKEN

if TYPE_CHECKING:
    from proxy.upstream import Upstream

# How long the list counts, how long Ollama gets to tell it, and when it is asked again if it did not, in seconds.
FRESH = 30.0
PATIENCE = 2.0
RETRY = 5.0
MAX_BYTES = 16 * 2**20


class Catalogue:
    """The names of the models that have a `remote_host`: asking one of them asks Ollama's cloud.

    Anybody with the scope `manage`, or a shell on that box, can make one under any name, so names alone don't tell.
    """

    def __init__(self) -> None:
        self.remote: frozenset[str] = frozenset()
        self.read_at = float("-inf")
        self.forgotten_at = float("-inf")
        self.failed_at = float("-inf")
        self.reading: asyncio.Task[None] | None = None

    async def fresh(self, upstream: Upstream) -> frozenset[str]:
        """Returns the names; waits only the first time, and asks at most every FRESH seconds.

        An Ollama that does not tell is not asked again for RETRY seconds: calls must not wait for it one by one.
        """
        now = monotonic()
        if now - self.read_at > FRESH and now - self.failed_at > RETRY:
            self.read_soon(upstream)
            if self.read_at == float("-inf") and self.reading is not None:
                await asyncio.shield(self.reading)
        return self.remote

    def read_soon(self, upstream: Upstream) -> None:
        """Begins to read the list, unless somebody does already."""
        if self.reading is None:
            self.reading = asyncio.get_running_loop().create_task(self.read(upstream))

    async def read(self, upstream: Upstream) -> None:
        """Reads the list; keeps what it knows where Ollama does not tell."""
        began = monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                models = await models_of(upstream)
            self.note(models)
            if self.forgotten_at >= began:
                self.forget()  # it changed while it was read
        except (UpstreamError, BROKEN, TimeoutError, ValueError):
            self.failed_at = monotonic()
        finally:
            self.reading = None

    def note(self, models: list[dict[str, Any]]) -> None:
        """Takes over a list that somebody read."""
        names = (str(model.get("name")) for model in models if model.get("remote_host"))
        self.remote = frozenset(reading.short for name in names for reading in readings(name))
        self.read_at = monotonic()

    def forget(self) -> None:
        """Says that the list has changed."""
        self.forgotten_at = monotonic()
        self.failed_at = float("-inf")
        self.read_at = float("-inf")

    def close(self) -> None:
        """Says so at the end of a call that holds it, which may have changed the list until then."""
        self.forget()


async def models_of(upstream: Upstream) -> list[dict[str, Any]]:
    """Asks Ollama for its models.  Raises UpstreamError, httpx.TransportError, or ValueError for what is no list."""
    status, body = await upstream.small("/api/tags", MAX_BYTES)
    models = object_of(orjson.loads(body)).get("models")
    if status != HTTPStatus.OK or not isinstance(models, list):
        raise ValueError("no list")  # an error is not an Ollama without cloud models
    return [model for model in models if isinstance(model, dict)]


catalogue = Catalogue()
