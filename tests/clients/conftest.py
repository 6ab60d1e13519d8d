"""Gateways in front of the stub and of the demo model, and the keys to them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.conf import settings

from engine.child import EngineProcess
from engine.errors import EngineError
from engine.fetch import fetch
from engine.model import NAME
from tests.harness import BASE_DIR, GatewayServer

NPM = Path(__file__).with_name("npm")


@dataclass(frozen=True, slots=True)
class Door:
    """What a client is told: where the gateway is, its key, and the names of a model that talks and one that embeds."""

    url: str
    key: str
    model: str
    embedding_model: str


@pytest.fixture(autouse=True)
def _no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides variables that the clients would read."""
    for name in ("OLLAMA_HOST", "OLLAMA_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def engine_gateway() -> Iterator[GatewayServer]:
    """A gateway in front of the demo model, which likes to go on for ever; without a network there is no model."""
    folder: Path = settings.ENV.ENGINE_CACHE
    try:
        fetch(folder)
    except EngineError as error:
        pytest.skip(f"no demo model: {error}")
    with EngineProcess(folder) as engine, GatewayServer(ollama_url=engine.url, MAX_OUTPUT_TOKENS=64) as server:
        yield server


@pytest.fixture
def stub_door(gateway: GatewayServer) -> Door:
    """The gateway in front of the stub, whose answers are known to the letter."""
    return Door(gateway.url, gateway.key, "stub", "stub-embed")


@pytest.fixture
def engine_door(engine_gateway: GatewayServer) -> Door:
    """The gateway in front of the demo model, which really answers."""
    return Door(engine_gateway.url, engine_gateway.key, NAME, NAME)


@pytest.fixture(params=["stub_door", "engine_door"], ids=["stub", "engine"])
def door(request: pytest.FixtureRequest) -> Door:
    """Each gateway in its turn."""
    door: Door = request.getfixturevalue(request.param)
    return door


@pytest.fixture
def manager_key(gateway: GatewayServer) -> str:
    """A key to the gateway in front of the stub that may manage its models."""
    return gateway.manage("createapikey", "manager", "--scopes", "inference,manage", "--quiet").stdout.strip()


@pytest.fixture(scope="session")
def node() -> str:
    """Node's command, with the clients from npm installed where their scripts are."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node and npm are not installed (version 20 or later): the clients from npm can't run")
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--omit-lockfile-registry-resolved"]
    install([[npm, "ci", *options]], NPM / "package-lock.json", NPM / "node_modules" / ".installed.json", NPM)
    return node


@pytest.fixture(scope="session")
def frameworks() -> Path:
    """A Python that has the frameworks and the older SDKs, in an environment of their own."""
    folder = Path(__file__).with_name(".venv")
    python = folder / "bin" / "python"
    wanted = BASE_DIR / "requirements" / "clients.txt"
    options = ["--quiet", "--no-input", "--disable-pip-version-check", "--require-hashes", "--requirement", str(wanted)]
    commands = [
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(python), "-m", "pip", "install", *options],
    ]
    install(commands, wanted, folder / "installed.txt", BASE_DIR)
    return python


def install(commands: list[list[str]], wanted: Path, stamp: Path, folder: Path) -> None:
    """Runs commands unless what they install is there already; skips the test, with a word, where they can't."""
    if stamp.exists() and stamp.read_bytes() == wanted.read_bytes():
        return
    for command in commands:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False
        )
        if done.returncode:
            pytest.skip(f"{wanted.name} can't be installed: {done.stderr.strip()[-300:]}")
    shutil.copyfile(wanted, stamp)
