"""How the rivals are installed and started; none of them is run here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.cases import OPENAI
from benchmarks.cores import Cores
from benchmarks.rivals import environments
from benchmarks.rivals.litellm import LiteLLM, LiteLLMByOpenAI
from benchmarks.rivals.nginx import Nginx
from benchmarks.rivals.ollaguard import Ollaguard
from benchmarks.rivals.portkey import PACKAGE, Portkey
from benchmarks.servers import RIVALS
from benchmarks.started import ServerFailed, StartedOnPort
from benchmarks.traffic import Traffic

UPSTREAM = "http://127.0.0.1:11434"


@pytest.fixture(autouse=True)
def _no_installs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes every environment for made, and starts nothing."""
    for name in ("python", "node", "debian"):
        monkeypatch.setattr(environments, name, lambda *_arguments: Path("/there"))
    monkeypatch.setattr(StartedOnPort, "_start", lambda self: f"http://127.0.0.1:{self.port}")


@pytest.fixture
def made(request: pytest.FixtureRequest) -> Iterator[StartedOnPort]:
    server: StartedOnPort = request.param(UPSTREAM)
    yield server
    server.stop()


@pytest.mark.parametrize("made", [LiteLLM], indirect=True)
def test_litellm_runs_one_worker_with_a_key_and_without_logs(made: LiteLLM) -> None:
    command = made.command()
    assert command[command.index("--num_workers") + 1] == "1"
    configuration = json.loads((made.folder / "config.yaml").read_text())
    assert configuration["general_settings"]["master_key"] in made.headers["Authorization"]
    (model,) = configuration["model_list"]
    assert model["litellm_params"] == {"model": "ollama_chat/mistral", "api_base": UPSTREAM}
    assert made.environment()["LITELLM_LOG"] == "ERROR"
    assert (made.path(OPENAI), made.path("generate")) == (OPENAI, None)


@pytest.mark.parametrize("made", [LiteLLMByOpenAI], indirect=True)
def test_litellm_is_measured_by_its_way_to_openai_too(made: LiteLLMByOpenAI) -> None:
    (model,) = json.loads((made.folder / "config.yaml").read_text())["model_list"]
    assert model["litellm_params"] == {"model": "openai/mistral", "api_base": f"{UPSTREAM}/v1", "api_key": "sk-bench"}
    assert made.commands == Path("/there")


@pytest.mark.parametrize("made", [Ollaguard], indirect=True)
def test_ollaguard_has_a_key_and_every_path(made: Ollaguard) -> None:
    command = made.command()
    assert command[command.index("--target-url") + 1] == UPSTREAM
    assert made.headers["Authorization"] == f"Bearer {command[-1]}"
    assert (made.path(OPENAI), made.path("generate")) == (OPENAI, "/api/generate")


@pytest.mark.parametrize("made", [Portkey], indirect=True)
def test_portkey_is_told_the_provider_with_each_request(made: Portkey) -> None:
    assert made.headers["x-portkey-custom-host"] == f"{UPSTREAM}/v1"
    assert f"--port={made.port}" in made.command()
    assert made.environment()["NODE_ENV"] == "production"
    assert made.path("/api/chat") is None


@pytest.mark.parametrize("made", [Nginx], indirect=True)
def test_nginx_knows_a_thousand_keys_and_keeps_connections(made: Nginx) -> None:
    text = (made.folder / "nginx.conf").read_text()
    assert text.count('"Bearer sk-bench') == 1000
    assert f'"{made.headers["Authorization"]}" 1;' in text
    assert "proxy_buffering off;" in text
    assert f"listen 127.0.0.1:{made.port} " in text


def test_what_can_t_be_had_is_said_and_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_arguments: object) -> Path:
        raise ServerFailed("Node and npm are not installed")

    monkeypatch.setattr(environments, "node", nowhere)
    traffic = Traffic([], 1, 0.1)
    traffic.measure({"Portkey": Portkey}, Cores(None, None))
    assert traffic.rows == []
    assert traffic.notes == ["Portkey was not measured: Node and npm are not installed"]


def test_the_lock_of_portkey_pins_what_it_asks_for_and_names_no_host() -> None:
    asked = json.loads((PACKAGE / "package.json").read_text())["dependencies"]
    text = (PACKAGE / "package-lock.json").read_text()
    packages = json.loads(text)["packages"]
    assert {name: packages[f"node_modules/{name}"]["version"] for name in asked} == asked
    assert all("integrity" in entry for place, entry in packages.items() if place)
    assert '"resolved"' not in text


def test_every_rival_has_a_name_of_its_own() -> None:
    assert [name for name, made in RIVALS.items() if made.name != name] == []
