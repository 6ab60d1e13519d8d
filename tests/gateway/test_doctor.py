"""`manage.py doctor`: what is right, what is wrong, and what to do."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from benchmarks.stub_client import StubProcess
from tests.harness import SECRETS, GatewayServer
from tests.redis_server import RedisServer, binary


def findings(
    folder: Path, ollama_url: str | None, *, fresh: bool = False, mode: int = 0o600, **settings: Any
) -> tuple[int, dict[str, tuple[str, str]]]:
    """Runs the doctor; returns its exit code, and for each subject the worst level and all that was said."""
    server = GatewayServer(ollama_url=ollama_url, folder=folder, fresh=fresh, **settings)
    (folder / ".env").chmod(mode)
    done = server.manage("doctor", check=False)
    assert done.stderr == ""
    found: dict[str, tuple[str, str]] = {}
    for line in done.stdout.splitlines():
        level, subject, text = line.split(maxsplit=2)
        worst, said = found.get(subject, ("ok", ""))
        found[subject] = (max(worst, level, key=["ok", "warn", "fail"].index), said + text)
    assert all(secret not in done.stdout for secret in SECRETS.values())
    return done.returncode, found


def test_it_works(tmp_path: Path, stub: StubProcess) -> None:
    code, found = findings(tmp_path, stub.url, OLLAMA_MODEL="stub")
    assert code == 0
    assert {level for level, _ in found.values()} == {"ok"}
    assert set(found) >= {"settings", "secrets", "network", "database", "admin", "keys", "Ollama", "model"}


def test_an_ollama_that_is_not_there_fails(tmp_path: Path) -> None:
    code, found = findings(tmp_path, "http://127.0.0.1:9")
    assert code == 1
    assert found["Ollama"][0] == "fail"
    assert "Connection refused" in found["Ollama"][1]
    assert "start Ollama there, or set OLLAMA_URL" in found["Ollama"][1]


def test_a_redis_that_is_not_there_fails(tmp_path: Path, stub: StubProcess) -> None:
    code, found = findings(tmp_path, stub.url, OLLAMA_MODEL="stub", REDIS_URL="redis://:hunter2@127.0.0.1:9/0")
    assert code == 1
    assert found["Redis"] == ("fail", "it can't be used (ConnectionError): start it, or correct REDIS_URL")


@pytest.mark.skipif(binary() is None, reason="neither valkey-server nor redis-server is installed here")
@pytest.mark.parametrize(
    ("options", "level", "text"),
    [
        ((), "ok", "shares the limits of all processes"),
        (("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"), "warn", "set it to noeviction"),
    ],
)
def test_the_redis_that_shares_limits_is_looked_at(
    tmp_path: Path, stub: StubProcess, options: tuple[str, ...], level: str, text: str
) -> None:
    redis = RedisServer(*options)
    try:
        redis.start()
        _, found = findings(tmp_path, stub.url, OLLAMA_MODEL="stub", REDIS_URL=redis.url())
    finally:
        redis.remove()
    assert found["Redis"][0] == level
    assert text in found["Redis"][1]


def test_an_ollama_that_never_answers_fails(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        code, found = findings(tmp_path, url, UPSTREAM_CONNECT_TIMEOUT=0.3)
    assert code == 1
    assert "no answer within 0.3 s" in found["Ollama"][1]


def test_a_missing_default_model_fails_and_the_others_are_named(tmp_path: Path, stub: StubProcess) -> None:
    code, found = findings(tmp_path, stub.url)
    assert code == 1
    assert found["model"][0] == "fail"
    assert "`ollama pull mistral`" in found["model"][1]
    assert "stub:latest" in found["model"][1]


def test_a_readable_env_file_fails(tmp_path: Path, stub: StubProcess) -> None:
    code, found = findings(tmp_path, stub.url, mode=0o644, OLLAMA_MODEL="stub")
    assert code == 1
    assert found["settings"][0] == "fail"
    assert f"chmod 600 {tmp_path / '.env'}" in found["settings"][1]


@pytest.mark.parametrize(("name", "advice"), [("OLAMA_URL", "did you mean OLLAMA_URL?"), ("FOO", "remove it")])
def test_a_name_that_is_no_setting_is_told(name: str, advice: str, tmp_path: Path, stub: StubProcess) -> None:
    settings: dict[str, Any] = {"OLLAMA_MODEL": "stub", name: "x"}
    code, found = findings(tmp_path, stub.url, **settings)
    assert code == 0
    assert found["settings"][0] == "warn"
    assert f"{name} in {tmp_path / '.env'} is no setting of the gateway: {advice}" in found["settings"][1]


@pytest.mark.parametrize(("app_env", "level"), [("development", "warn"), ("production", "fail")])
def test_a_weak_secret_is_told(app_env: str, level: str, tmp_path: Path, stub: StubProcess) -> None:
    _, found = findings(tmp_path, stub.url, KEY_PEPPER="short", APP_ENV=app_env)
    assert found["secrets"][0] == level
    assert "KEY_PEPPER is easy to guess" in found["secrets"][1]


def test_a_pepper_that_is_not_the_keys_own_is_told(tmp_path: Path, stub: StubProcess) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    code, found = findings(tmp_path / "one", stub.url, OLLAMA_MODEL="stub", KEY_PEPPER="another-" + "z" * 40)
    assert code == 1
    assert found["keys"][0] == "fail"
    assert "KEY_PEPPER_FALLBACKS" in found["keys"][1]
    fallbacks = {"KEY_PEPPER": "another-" + "z" * 40, "KEY_PEPPER_FALLBACKS": SECRETS["KEY_PEPPER"]}
    assert findings(tmp_path / "two", stub.url, OLLAMA_MODEL="stub", **fallbacks)[0] == 0


def test_settings_that_contradict_each_other_are_told(tmp_path: Path, stub: StubProcess) -> None:
    _, found = findings(tmp_path, stub.url, HOST="0.0.0.0", APP_ENV="production")
    assert found["gateway.W002"][0] == "warn"
    assert found["TLS"][0] == "warn"
    assert "TRUSTED_PROXIES" in found["TLS"][1]


def test_no_database_yet_is_told_and_none_is_made(tmp_path: Path, stub: StubProcess) -> None:
    _, found = findings(tmp_path, stub.url, fresh=True)
    assert found["database"][0] == "warn"
    assert "`scripts/serve` makes it" in found["database"][1]
    assert not (tmp_path / "db.sqlite3").exists()


def test_missing_migrations_fail(tmp_path: Path, stub: StubProcess) -> None:
    (tmp_path / "db.sqlite3").touch()
    code, found = findings(tmp_path, stub.url, fresh=True)
    assert code == 1
    assert found["database"][0] == "fail"
    assert "`manage.py migrate`" in found["database"][1]


def test_a_file_that_is_no_database_fails(tmp_path: Path, stub: StubProcess) -> None:
    (tmp_path / "db.sqlite3").write_text("dear diary, " * 1000)
    code, found = findings(tmp_path, stub.url, fresh=True)
    assert code == 1
    assert "file is not a database" in found["database"][1]


def test_nobody_to_log_in_and_no_key_are_told(tmp_path: Path, stub: StubProcess) -> None:
    server = GatewayServer(ollama_url=stub.url, folder=tmp_path, fresh=True)
    server.manage("migrate")
    code, found = findings(tmp_path, stub.url, fresh=True, OLLAMA_MODEL="stub")
    assert code == 0
    assert found["admin"] == ("warn", "nobody can log in to the admin: `manage.py createsuperuser`")
    assert found["keys"][0] == "warn"
    assert "`manage.py createapikey LABEL`" in found["keys"][1]


def test_a_wrong_setting_is_one_line(tmp_path: Path) -> None:
    done = GatewayServer(ollama_url=None, folder=tmp_path, PORT="x").manage("doctor", check=False)
    assert done.returncode == 1
    assert done.stderr == "PORT='x' is not allowed; allowed is a whole number (see docs/settings.md)\n"


def test_keys_of_a_pepper_that_is_gone_are_told_though_newer_ones_verify(tmp_path: Path, stub: StubProcess) -> None:
    new = {"KEY_PEPPER": "another-" + "z" * 40, "OLLAMA_MODEL": "stub"}
    server = GatewayServer(ollama_url=stub.url, folder=tmp_path, **new)
    server.manage("createapikey", "fresh")
    code, found = findings(tmp_path, stub.url, fresh=True, **new)
    assert code == 1
    assert found["keys"][0] == "fail"
    assert "2 in use: 1 stored with KEY_PEPPER" in found["keys"][1]
    assert "1 of 2 were stored with a pepper that is not known here" in found["keys"][1]
    fallbacks = {"KEY_PEPPER_FALLBACKS": SECRETS["KEY_PEPPER"]}
    code, found = findings(tmp_path, stub.url, fresh=True, **fallbacks, **new)
    assert (code, found["keys"][0]) == (0, "ok")
    assert "1 stored with KEY_PEPPER, 1 with fallback 1" in found["keys"][1]
    assert "1 keys still need fallback 1" in found["peppers"][1]


def test_what_was_left_lying_and_what_can_not_be_written_is_told(tmp_path: Path, stub: StubProcess) -> None:
    (tmp_path / "first-run.txt").write_text("password")
    (tmp_path / "file").touch()
    code, found = findings(
        tmp_path, stub.url, OLLAMA_MODEL="stub", JOURNAL_DIR=tmp_path / "file", HOST="0.0.0.0", TLS="on"
    )
    assert code == 1
    assert found["first-run"][0] == "warn"
    assert "delete it" in found["first-run"][1]
    assert "is no folder" in found["folders"][1]
    assert "no proxy is trusted" in found["TLS"][1]
    assert "CSRF" in found["login"][1]
    assert "driver sqlite3 with SQLite 3" in found["database"][1]
    _, found = findings(
        tmp_path, stub.url, OLLAMA_MODEL="stub", HOST="0.0.0.0", TLS="off", JOURNAL_DIR=tmp_path / "new"
    )
    assert "lets other machines in while TLS is off" in found["gateway.W001"][1]
    assert "is not there yet" in found["folders"][1]
