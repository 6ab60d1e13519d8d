"""The demo engine behind `manage.py serve`: started when no Ollama is there, ended with the server."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from django.conf import settings

from engine.errors import EngineError
from engine.fetch import fetch
from engine.wanted import something_listens
from gateway.env import DEFAULT_OLLAMA_URL
from tests.harness import GatewayServer, is_alive, wait_until

Make = Callable[..., GatewayServer]


@pytest.fixture(autouse=True)
def no_ollama() -> None:
    if something_listens(DEFAULT_OLLAMA_URL):
        pytest.skip("an Ollama is running on this machine")


@pytest.fixture(scope="module")
def cache() -> Path:
    """A cache that holds the model; without a network there is none to test with."""
    folder: Path = settings.ENV.ENGINE_CACHE.expanduser()
    try:
        fetch(folder)
    except EngineError as error:
        pytest.skip(f"no demo model: {error}")
    return folder


def test_it_answers_when_no_ollama_is_there_and_ends_with_the_server(make_gateway: Make, cache: Path) -> None:
    server = make_gateway(ollama_url=None, ENGINE="auto", ENGINE_CACHE=cache)
    assert "nothing answers at http://localhost:11434: starting the demo model" in server.log()
    body = {"prompt": "Say hello.", "options": {"num_predict": 8}}
    answer = httpx.post(f"{server.url}/api/v1/generate", headers=server.headers, json=body, timeout=60).json()
    assert answer["model"] == "smollm2:135m"
    assert answer["response"]
    (engine,) = server.descendants()
    assert server.stop() == 0
    assert not is_alive(engine)


def test_it_does_not_outlive_a_server_that_was_killed(make_gateway: Make, cache: Path) -> None:
    server = make_gateway(ollama_url=None, ENGINE="auto", ENGINE_CACHE=cache)
    (engine,) = server.descendants()
    assert server.process is not None
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    wait_until(lambda: not is_alive(engine), 10)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"ENGINE": "off"}, "ENGINE=off forbids the demo model"),
        ({"ENGINE": "auto", "APP_ENV": "production"}, "unless ENGINE=on"),
    ],
    ids=["forbidden", "in production"],
)
def test_it_is_not_started_where_it_may_not_be(values: dict[str, str], reason: str, make_gateway: Make) -> None:
    server = make_gateway(ollama_url=None, **values)
    assert "nothing answers at http://localhost:11434" in server.log()
    assert "start Ollama there or set OLLAMA_URL" in server.log()
    assert server.descendants() == []
    assert reason.rsplit(maxsplit=1)[-1] in server.log()


@pytest.fixture
def no_index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """Settings of a machine without a network, on which the model was never fetched."""
    settings_of_pip = tmp_path / "pip.conf"
    settings_of_pip.write_text("[global]\nindex-url = http://127.0.0.1:9/simple\nretries = 0\ntimeout = 1\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".config" / "pip").mkdir(parents=True)
    settings_of_pip.rename(tmp_path / ".config" / "pip" / "pip.conf")
    return {"ENGINE_CACHE": str(tmp_path / "cache")}


def test_without_a_network_the_gateway_starts_without_a_model(no_index: dict[str, str], make_gateway: Make) -> None:
    server = make_gateway(ollama_url=None, ENGINE="auto", **no_index)
    assert "The demo engine can't be fetched without a network" in server.log()
    assert "Starting without a model: the admin works" in server.log()
    assert "OLLAMA_URL" in server.log()
    assert "ENGINE=off" in server.log()
    assert httpx.get(f"{server.url}/admin/login/").status_code == 200
    answer = httpx.post(f"{server.url}/api/v1/generate", headers=server.headers, json={"prompt": "hi"})
    assert answer.status_code == 502


def test_where_the_engine_is_asked_for_the_start_fails_without_it(no_index: dict[str, str], tmp_path: Path) -> None:
    server = GatewayServer(ollama_url=None, folder=tmp_path, ENGINE="on", **no_index)
    done = server.manage("serve", check=False)
    assert done.returncode == 1
    assert "The demo engine can't be fetched without a network" in done.stderr


def test_production_may_ask_for_it(make_gateway: Make, cache: Path) -> None:
    server = make_gateway(ollama_url=None, ENGINE="on", APP_ENV="production", ENGINE_CACHE=cache)
    assert len(server.descendants()) == 1


def test_the_doctor_says_that_it_will_stand_in(tmp_path: Path) -> None:
    server = GatewayServer(ollama_url=None, folder=tmp_path, ENGINE="auto", ENGINE_CACHE=tmp_path / "cache")
    said = server.manage("doctor").stdout
    assert "until then `serve` starts the demo model" in said
    assert f"it will be fetched into {tmp_path / 'cache'}" in said
