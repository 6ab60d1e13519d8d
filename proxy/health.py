"""Is the gateway alive, and is its Ollama: for load balancers, monitors and the home page."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema

from gateway import __version__
from proxy.exceptions import UpstreamError
from proxy.open import OpenView
from proxy.openapi.operations import GROUPS
from proxy.openapi.schemas import answers
from proxy.running import running
from proxy.upstream import BROKEN

# How long Ollama gets to say its version, and how long that counts for everybody who asks, in seconds.
PATIENCE = 2.0
FRESH = 1.0
# A version is some 20 bytes of JSON; what is longer is no Ollama.
MAX_BYTES = 4096
MAX_VERSION = 64
RETRY_SECONDS = "2"


class Pulse:
    """Whether Ollama answers: asked once a second at most, however many want to know."""

    def __init__(self) -> None:
        self.version: str | None = None
        self.felt = float("-inf")
        self.feeling: asyncio.Task[None] | None = None

    async def feel(self) -> str | None:
        """Returns Ollama's version, None while it is down; never raises, and waits PATIENCE at most."""
        if self.feeling is None and monotonic() - self.felt > FRESH:
            self.feeling = asyncio.get_running_loop().create_task(self.ask())
        if self.feeling is not None:
            await asyncio.shield(self.feeling)  # it is the others' too: one who leaves must not end it
        return self.version

    async def ask(self) -> None:
        """Asks Ollama and notes what it said."""
        try:
            async with asyncio.timeout(PATIENCE):
                self.version = await version_of_ollama()
        except (UpstreamError, BROKEN, TimeoutError, ValueError):
            self.version = None
        finally:
            self.felt = monotonic()
            self.feeling = None


pulse = Pulse()


async def version_of_ollama() -> str:
    """Asks Ollama for its version; raises UpstreamError, httpx.TransportError, or ValueError for what is no version."""
    status, body = await running.upstream.small("/api/version", MAX_BYTES)
    said = orjson.loads(body)
    version = said.get("version") if status == 200 and isinstance(said, dict) else None  # noqa: PLR2004 -- OK
    if not isinstance(version, str):
        raise ValueError("no version")  # noqa: TRY004 -- what came is wrong, whatever its type
    return version[:MAX_VERSION]


def state(version: str | None) -> dict[str, Any]:
    """Returns what a health check hears, from Ollama's version or None."""
    return {
        "status": "ok",
        "upstream": "down" if version is None else "up",
        "version": __version__,
        "upstream_version": version,
    }


def answer(said: dict[str, Any], status: int = 200, **headers: str) -> HttpResponse:
    """Returns a health check's answer, which nobody may keep."""
    response = HttpResponse(orjson.dumps(said), status=status, content_type="application/json", headers=headers)
    response["Cache-Control"] = "no-store"
    # The request has its line in the log; Django would add an error for each check.
    response._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001
    return response


TAGS = [GROUPS["service"][0]]
UP = state("0.12.0")
DOWN = {**state(None), "status": "unavailable"}
ALIVE = {"status": "ok", "version": __version__}


class HealthView(OpenView):
    """Tells that the gateway lives, and whether its Ollama does."""

    @extend_schema(
        operation_id="get_health",
        summary="Whether the gateway and its Ollama are up",
        tags=TAGS,
        responses=answers(UP, "The gateway lives; `upstream` is `up` or `down`."),
    )
    async def get(self, _request: HttpRequest) -> HttpResponse:
        """Answers 200 as long as there is somebody to answer."""
        return answer(state(await pulse.feel()))


class ReadyView(OpenView):
    """Tells whether requests can be served now."""

    @extend_schema(
        operation_id="get_health_ready",
        summary="Whether requests can be served now",
        tags=TAGS,
        responses={200: answers(UP, "They can."), 503: answers(DOWN, "Ollama is down.")},
    )
    async def get(self, _request: HttpRequest) -> HttpResponse:
        """Answers 503 while Ollama is down."""
        said = state(await pulse.feel())
        if said["upstream"] == "up":
            return answer(said)
        return answer(DOWN, 503, **{"Retry-After": RETRY_SECONDS})


class LiveView(OpenView):
    """Tells that the process lives, without asking Ollama."""

    @extend_schema(
        operation_id="get_health_live",
        summary="Whether the gateway lives",
        tags=TAGS,
        responses=answers(ALIVE, "It does."),
    )
    async def get(self, _request: HttpRequest) -> HttpResponse:
        """Answers 200."""
        return answer(ALIVE)
