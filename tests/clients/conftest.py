"""Gateways in front of the stub and of the demo model, and the keys to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.conf import settings

from benchmarks.stub_client import StubProcess
from engine.child import EngineProcess
from engine.errors import EngineError
from engine.fetch import fetch
from engine.model import NAME
from tests.harness import GatewayServer


@dataclass(frozen=True, slots=True)
class Door:
    """What a client is told: where the gateway is, its key, and the names of a model that talks and one that embeds."""

    url: str
    key: str
    model: str
    embedding_model: str


@pytest.fixture(autouse=True)
def _fresh(request: pytest.FixtureRequest) -> None:
    """Lets the stub forget what other tests did with it."""
    if "stub" in request.fixturenames:
        request.getfixturevalue("stub").reset()


@pytest.fixture(autouse=True)
def _no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides variables that the clients would read."""
    for name in ("OLLAMA_HOST", "OLLAMA_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def engine_gateway() -> Iterator[GatewayServer]:
    """A gateway in front of the demo model, shared by all tests; without a network there is no model to test with."""
    folder: Path = settings.ENV.ENGINE_CACHE
    try:
        fetch(folder)
    except EngineError as error:
        pytest.skip(f"no demo model: {error}")
    with EngineProcess(folder) as engine, GatewayServer(ollama_url=engine.url, OLLAMA_MODEL=NAME) as server:
        yield server


@pytest.fixture
def stub_door(gateway: GatewayServer) -> Door:
    """The gateway in front of the stub, whose answers are known to the letter."""
    return Door(gateway.url, gateway.key, "stub", "stub-embed")


@pytest.fixture(params=["stub", "engine"])
def door(request: pytest.FixtureRequest) -> Door:
    """Each gateway in its turn: in front of the stub, and in front of the demo model."""
    if request.param == "stub":
        door: Door = request.getfixturevalue("stub_door")
        return door
    server: GatewayServer = request.getfixturevalue("engine_gateway")
    return Door(server.url, server.key, NAME, NAME)


@pytest.fixture
def manager_key(gateway: GatewayServer) -> str:
    """A key to the gateway in front of the stub that may manage its models."""
    return gateway.manage("createapikey", "manager", "--scopes", "inference,manage", "--quiet").stdout.strip()


def queries(stub: StubProcess, path: str) -> int:
    """Counts the requests that reached the stub at a path."""
    return len(stub.requests(path))
