"""The start-up checks, each with its id."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from gateway.checks import check_settings
from gateway.env import Env
from tests.harness import SECRETS, GatewayServer

GOOD = {**SECRETS, "ALLOWED_HOSTS": ["gateway.example.org"]}


def ids(monkeypatch: pytest.MonkeyPatch, **values: object) -> list[str | None]:
    """The ids of what the checks say to these settings."""
    from django.conf import settings

    monkeypatch.setattr(settings, "ENV", Env(_env_file=None, **{**GOOD, **values}))  # type: ignore[arg-type] # any value
    messages = check_settings()
    assert all(message.hint for message in messages)
    return [message.id for message in messages]


@pytest.mark.parametrize("mode", ["development", "production"])
def test_nothing_is_said_to_good_settings(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ids(monkeypatch, APP_ENV=mode) == []


def test_plain_text_beyond_this_machine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ids(monkeypatch, HOST="0.0.0.0") == ["gateway.W001"]
    assert ids(monkeypatch, HOST="gateway.local") == ["gateway.W001"]
    assert ids(monkeypatch, HOST="0.0.0.0", TLS=False, APP_ENV="production") == ["gateway.W001"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_plain_text_on_this_machine_is_fine(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ids(monkeypatch, HOST=host) == []


def test_tls_in_front_is_fine_beyond_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ids(monkeypatch, HOST="0.0.0.0", APP_ENV="production") == []
    assert ids(monkeypatch, HOST="0.0.0.0", TLS=True) == []


def test_a_server_whose_name_nobody_may_use_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ids(monkeypatch, HOST="0.0.0.0", TLS=True, ALLOWED_HOSTS=["localhost", "127.0.0.1"]) == ["gateway.W002"]
    assert ids(monkeypatch, HOST="127.0.0.1", TLS=True, ALLOWED_HOSTS=["localhost", "127.0.0.1"]) == []


def test_debug_is_told_where_others_see_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ids(monkeypatch, DEBUG=True) == []
    assert ids(monkeypatch, DEBUG=True, APP_ENV="production") == ["gateway.W003"]
    assert ids(monkeypatch, DEBUG=True, HOST="0.0.0.0", TLS=True) == ["gateway.W003"]
    assert ids(monkeypatch, DEBUG=True, HOST="0.0.0.0", APP_ENV="production") == ["gateway.W003"]


def test_a_password_for_redis_in_plain_text_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ids(monkeypatch, REDIS_URL="redis://:secret@cache.example.org/0") == ["gateway.W007"]
    assert ids(monkeypatch, REDIS_URL="rediss://:secret@cache.example.org/0") == []
    assert ids(monkeypatch, REDIS_URL="redis://:secret@127.0.0.1/0") == []


def test_limits_that_are_shared_and_not_shared_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ids(monkeypatch, REDIS_URL="redis://127.0.0.1/0", LIMITS="per-process") == ["gateway.W008"]


def test_any_host_is_told_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ids(monkeypatch, ALLOWED_HOSTS=["*"], APP_ENV="production") == ["gateway.W004"]
    assert ids(monkeypatch, ALLOWED_HOSTS=["*"]) == []


def test_a_credential_in_plain_text_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ids(monkeypatch, OLLAMA_API_KEY="x", OLLAMA_URL="http://gpu.example.org") == ["gateway.W005"]
    assert ids(monkeypatch, OLLAMA_API_KEY="x", OLLAMA_URL="https://gpu.example.org") == []
    assert ids(monkeypatch, OLLAMA_API_KEY="x", OLLAMA_URL="http://127.0.0.1:11434") == []
    assert ids(monkeypatch, OLLAMA_API_KEY="x") == []


def test_an_authority_that_is_never_asked_is_told(monkeypatch: pytest.MonkeyPatch) -> None:

    authority = ssl.get_default_verify_paths().cafile
    if authority is None or not Path(authority).is_file():
        pytest.skip("this system has no file of certificates")
    assert ids(monkeypatch, OLLAMA_CA=authority, OLLAMA_URL="http://gpu.example.org") == ["gateway.W006"]
    assert ids(monkeypatch, OLLAMA_CA=authority, OLLAMA_URL="https://gpu.example.org") == []


@pytest.mark.parametrize("name", ["SECRET_KEY", "KEY_PEPPER"])
@pytest.mark.parametrize("value", ["short", "x" * 64], ids=["short", "monotonous"])
def test_a_weak_secret_is_refused_in_production(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ids(monkeypatch, **{name: value, "APP_ENV": "production"}) == ["gateway.E001"]
    assert ids(monkeypatch, **{name: value}) == []


def test_a_production_server_with_a_weak_pepper_does_not_start(tmp_path: Path) -> None:
    server = GatewayServer(ollama_url=None, folder=tmp_path, fresh=True, APP_ENV="production", KEY_PEPPER="short")
    done = server.manage("serve", check=False)
    assert done.returncode == 1
    assert "gateway.E001" in done.stderr
    assert "KEY_PEPPER" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("mode", ["development", "production"])
def test_the_deployment_checks_find_nothing(mode: str, tmp_path: Path) -> None:
    server = GatewayServer(ollama_url=None, folder=tmp_path, fresh=True, APP_ENV=mode)
    server.manage("check", "--deploy", "--fail-level", "WARNING")
