"""Settings: what is read, and the one line that a wrong one gets."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest

from gateway.env import Env, SettingError, load, read

CERTIFICATES = ssl.get_default_verify_paths().cafile


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*Env.model_fields, "NODE_ENV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GATEWAY_ENV_FILE", str(tmp_path / ".env"))


def read_with(name: str, value: str) -> object:
    os.environ[name] = value
    try:
        return getattr(read(), name)
    finally:
        del os.environ[name]


def test_it_works_with_nothing_set() -> None:
    env = read()
    assert (env.HOST, env.PORT, env.OLLAMA_URL, env.OLLAMA_MODEL) == ("127.0.0.1", 8100, None, "mistral")
    assert not env.DEBUG
    assert not env.production


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("PORT=1111\nOLLAMA_MODEL=llama3\n")
    monkeypatch.setenv("PORT", "2222")
    env = read()
    assert (env.PORT, env.OLLAMA_MODEL) == (2222, "llama3")


@pytest.mark.parametrize("name", ["HOST", "PORT", "OLLAMA_URL", "TLS", "APP_ENV", "ALLOWED_HOSTS", "OLLAMA_CA"])
def test_an_empty_value_is_no_value(name: str) -> None:
    assert read_with(name, "") == Env.model_fields[name].default


def test_the_env_file_of_the_node_program_is_understood(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "OLLAMA_URL=http://localhost:11434/api/generate\nOLLAMA_MODEL=mistral\nPORT=8100\nNODE_ENV=production\n"
    )
    env = read()
    assert (env.OLLAMA_URL, env.PORT, env.production) == ("http://localhost:11434", 8100, True)


@pytest.mark.parametrize("value", ["one two", "one\r\nX-Evil: 1", "schlüssel"])
def test_a_token_that_can_stand_in_no_header_is_refused_without_being_shown(value: str) -> None:
    with pytest.raises(SettingError, match="visible ASCII characters") as raised:
        read_with("OLLAMA_API_KEY", value)
    assert value not in str(raised.value)


def test_app_env_wins_over_node_env(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_ENV", "production")
    monkeypatch.setenv("APP_ENV", "development")
    assert not read().production


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("http://localhost:11434", "http://localhost:11434"),
        ("http://localhost:11434/", "http://localhost:11434"),
        ("http://localhost:11434/api/generate", "http://localhost:11434"),
        ("http://localhost:11434/api/generate/", "http://localhost:11434"),
        ("https://gpu.example.org/ollama/api/generate", "https://gpu.example.org/ollama"),
        ("https://gpu.example.org/ollama/", "https://gpu.example.org/ollama"),
        ("HTTP://GPU", "http://GPU"),
        ("http://[::1]:11434", "http://[::1]:11434"),
        ("  http://localhost:11434  ", "http://localhost:11434"),
        ("http://localhost:", "http://localhost"),
    ],
)
def test_an_ollama_url_is_reduced_to_its_base(given: str, base: str) -> None:
    assert read_with("OLLAMA_URL", given) == base


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("OLLAMA_URL", "localhost:11434", "an http:// or https:// URL"),
        ("OLLAMA_URL", "ftp://localhost", "an http:// or https:// URL"),
        ("OLLAMA_URL", "http://", "an http:// or https:// URL"),
        ("OLLAMA_URL", "http://localhost:99999", "an http:// or https:// URL"),
        ("OLLAMA_URL", "http://localhost:0", "an http:// or https:// URL"),
        ("OLLAMA_URL", "http://local host", "an http:// or https:// URL"),
        ("OLLAMA_URL", "http://[::1", "an http:// or https:// URL"),
        ("OLLAMA_URL", "http://localhost#x", "without user name, query or fragment"),
        ("OLLAMA_CA", "/nowhere.pem", "a PEM file that holds certificates"),
        ("OLLAMA_CA", __file__, "a PEM file that holds certificates"),
        ("OLLAMA_MODEL", "  ", "some text"),
        ("UPSTREAM_KEEPALIVE", "sometimes", "on or off"),
        ("ENGINE", "yes", "auto, on or off"),
        ("UPSTREAM_CONNECT_TIMEOUT", "soon", "a number"),
        ("UPSTREAM_CONNECT_TIMEOUT", "0", "more than 0"),
        ("UPSTREAM_FIRST_BYTE_TIMEOUT", "-1", "more than 0"),
        ("UPSTREAM_IDLE_TIMEOUT", "nan", "a number"),
        ("UPSTREAM_IDLE_TIMEOUT", "inf", "a number"),
        ("SHUTDOWN_GRACE", "-1", "at least 0"),
        ("CLIENT_TIMEOUT", "none", "a number"),
        ("HOST", "0.0.0.0:8100", "an address or host name"),
        ("HOST", "http://localhost", "an address or host name"),
        ("PORT", "http", "a whole number"),
        ("PORT", "80.5", "a whole number"),
        ("PORT", "65536", "at most 65535"),
        ("PORT", "-1", "at least 0"),
        ("DEBUG", "maybe", "true or false"),
        ("TLS", "1.3", "true or false"),
        ("LOG_ADDRESSES", "some", "true or false"),
        ("ALLOWED_HOSTS", "https://gateway.example.org", "host names such as"),
        ("ALLOWED_HOSTS", "gateway.example.org:8100", "host names such as"),
        ("CORS_ALLOWED_ORIGINS", "chat.example.org", "* or origins such as"),
        ("CORS_ALLOWED_ORIGINS", "https://chat.example.org/", "* or origins such as"),
        ("CORS_ALLOWED_ORIGINS", "*,https://chat.example.org", "* or origins such as"),
        ("TRUSTED_PROXIES", "*", "addresses or networks"),
        ("TRUSTED_PROXIES", "proxy.example.org", "addresses or networks"),
        ("MODEL_ALIASES", "gpt-4o", "pairs"),
        ("ALLOW_CLOUD", "some", "true or false"),
        ("KEEP_ATTRIBUTION", "some", "true or false"),
        ("CONTEXT_WINDOW", "large", "rules"),
        ("MAX_NUM_CTX", "0", "at least 1"),
        ("MAX_KEEP_ALIVE", "-1", "at least 0"),
        ("MAX_OUTPUT_TOKENS", "many", "a whole number"),
        ("MAX_BATCH", "0", "at least 1"),
        ("OUTAGE_GRACE", "-1", "at least 0"),
        ("INVALID_KEYS_PER_MINUTE", "0", "at least 1"),
        ("HEARTBEAT", "-1", "at least 0"),
        ("MAX_CALL_SECONDS", "0", "more than 0"),
        ("MAX_IN_FLIGHT", "0", "at least 1"),
        ("JOURNAL_MAX_BYTES", "1", "at least 65536"),
        ("JOURNAL_FULL", "burst", "refuse or count"),
        ("REDIS_GRACE", "-1", "at least 0"),
        ("RECORD_ADDRESSES", "some", "off, truncated or full"),
        ("RECORD_DAYS", "0", "at least 1"),
        ("METRICS_ADDRESSES", "everybody", "addresses or networks"),
        ("MAX_WAIT", "-1", "at least 0"),
        ("RESERVE_STEP", "0", "at least 1"),
        ("LIMITS", "none", "exact or per-process"),
        ("DEFAULT_REQUESTS_PER_MINUTE", "0", "at least 1"),
        ("DEFAULT_TOKENS_PER_MINUTE", "lots", "a whole number"),
        ("DEFAULT_CONCURRENCY", "0", "at least 1"),
        ("DEFAULT_TOKENS_PER_DAY", "-5", "at least 1"),
        ("DEFAULT_TOKENS_PER_MONTH", "1.5", "a whole number"),
        ("DEFAULT_TOKENS_TOTAL", "0", "at least 1"),
        ("DEFAULT_OUTPUT_TOKENS", "0", "at least 1"),
        ("MAX_BODY_BYTES", "32M", "a whole number"),
        ("MAX_BODY_BYTES", "1023", "at least 1024"),
        ("MAX_BUFFERED_BYTES", "x", "a whole number"),
        ("MAX_HEADER_BYTES", "x", "a whole number"),
        ("MAX_CONNECTIONS", "0", "at least 1"),
    ],
)
def test_a_wrong_value_is_told_in_one_line(name: str, value: str, allowed: str) -> None:
    with pytest.raises(SettingError) as raised:
        read_with(name, value)
    text = str(raised.value)
    assert text.startswith(f"{name}='{value}' is not allowed; allowed is ")
    assert allowed in text
    assert "\n" not in text


@pytest.mark.parametrize("name", ["APP_ENV", "NODE_ENV"])
def test_a_wrong_mode_names_both_variables(name: str) -> None:
    os.environ[name] = "staging"
    try:
        with pytest.raises(SettingError, match=r"^APP_ENV \(or NODE_ENV\)='staging' .* development or production"):
            read()
    finally:
        del os.environ[name]


@pytest.mark.parametrize("name", ["BASE_PATH", "SCRIPT_NAME"])
def test_a_wrong_prefix_names_both_variables(name: str) -> None:
    os.environ[name] = "/api"
    try:
        with pytest.raises(SettingError, match=r"^BASE_PATH \(or SCRIPT_NAME\)='/api' .* a path such as /ollama"):
            read()
    finally:
        del os.environ[name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://me:hunter2@host/name"),
        ("DATABASE_URL", "postgres://me:hunter2@host:port/name"),
        ("REDIS_URL", "redis://me:hunter2@host:port/0"),
        ("REDIS_URL", "http://me:hunter2@host"),
        ("REDIS_URL", "unix://:hunter2@"),
        ("OLLAMA_URL", "http://me:hunter2@localhost"),
        ("OLLAMA_URL", "http://localhost/?token=hunter2"),
    ],
)
def test_a_wrong_value_that_may_hold_a_secret_is_hidden(name: str, value: str) -> None:
    with pytest.raises(SettingError) as raised:
        read_with(name, value)
    assert str(raised.value).startswith(f"{name}=(hidden) is not allowed")
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("value", ["db.sqlite3", "sqlite://db.sqlite3", "sqlite:///", "postgres://"])
def test_a_database_is_a_file_or_postgresql(value: str) -> None:
    with pytest.raises(SettingError, match=r"sqlite:///file or postgres://"):
        read_with("DATABASE_URL", value)


@pytest.mark.parametrize(
    ("name", "value", "meaning"),
    [
        ("HOST", "[::1]", "::1"),
        ("HOST", "gateway.local", "gateway.local"),
        ("ALLOWED_HOSTS", "a.example.org, .b.example.org,[::1],*", ["a.example.org", ".b.example.org", "[::1]", "*"]),
        ("CORS_ALLOWED_ORIGINS", "https://a.org,http://b.org:3000", ["https://a.org", "http://b.org:3000"]),
        ("TRUSTED_PROXIES", "10.0.0.5, fd00::/8", ["10.0.0.5", "fd00::/8"]),
        ("MODEL_ALIASES", "gpt-4o=mistral, gpt-5=qwen:7b", ["gpt-4o=mistral", "gpt-5=qwen:7b"]),
        ("CLIENT_OPTIONS", "num_ctx, num_gpu", ["num_ctx", "num_gpu"]),
        ("BASE_PATH", "ollama/", "/ollama"),
        ("TLS", "off", False),
        ("DEBUG", "1", True),
        ("SHUTDOWN_GRACE", "0.5", 0.5),
        ("REDIS_URL", "rediss://:p%40ss@cache.example.org:6380/2", "rediss://:p%40ss@cache.example.org:6380/2"),
        ("DATABASE_URL", "sqlite:////var/lib/gateway/db.sqlite3", "sqlite:////var/lib/gateway/db.sqlite3"),
    ],
)
def test_a_right_value_is_taken(name: str, value: str, meaning: object) -> None:
    assert read_with(name, value) == meaning


@pytest.mark.skipif(CERTIFICATES is None or not Path(CERTIFICATES).is_file(), reason="this system has no such file")
def test_an_authority_is_a_file_of_certificates() -> None:
    assert read_with("OLLAMA_CA", str(CERTIFICATES)) == Path(str(CERTIFICATES))


def test_every_typed_setting_has_a_wrong_value_above() -> None:
    (mark,) = (m for m in test_a_wrong_value_is_told_in_one_line.pytestmark if m.name == "parametrize")  # type: ignore[attr-defined] # pytest puts it there
    tried = {case[0] for case in mark.args[1]} | {"APP_ENV", "BASE_PATH", "DATABASE_URL", "REDIS_URL"}
    secrets = {"OLLAMA_API_KEY", "SECRET_KEY", "KEY_PEPPER", "KEY_PEPPER_FALLBACKS"}
    anything_goes = {*secrets, "ENGINE_CACHE", "JOURNAL_DIR", "CLIENT_OPTIONS", "ALERT_SECRET", "ALERT_WEBHOOK"}
    assert set(Env.model_fields) - anything_goes == tried


def test_a_missing_secret_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "x")
    with pytest.raises(SettingError, match=r"^KEY_PEPPER is not set"):
        load()


@pytest.mark.parametrize("text", [b"PORT=\xff\xfe\n"], ids=["not utf-8"])
def test_a_file_that_is_no_text_is_told(text: bytes, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(text)
    with pytest.raises(SettingError, match=r"\.env can't be read"):
        read()


@pytest.mark.parametrize(
    ("mode", "switch", "tls"),
    [("development", "", False), ("production", "", True), ("production", "off", False), ("development", "on", True)],
)
def test_tls_is_on_in_production_unless_switched_off(
    mode: str, switch: str, tls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APP_ENV", mode)
    monkeypatch.setenv("TLS", switch)
    assert read().tls is tls


def test_a_secret_can_stand_in_a_file_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pepper").write_text("from-a-file\n")
    monkeypatch.setenv("KEY_PEPPER_FILE", str(tmp_path / "pepper"))
    assert read().KEY_PEPPER == "from-a-file"
    (tmp_path / ".env").write_text(f"KEY_PEPPER_FILE=/nowhere\nOLLAMA_API_KEY_FILE={tmp_path / 'pepper'}\n")
    monkeypatch.setenv("GATEWAY_ENV_FILE", str(tmp_path / ".env"))
    assert (read().KEY_PEPPER, read().OLLAMA_API_KEY) == ("from-a-file", "from-a-file")
    monkeypatch.setenv("KEY_PEPPER", "itself")
    assert read().KEY_PEPPER == "itself"


def test_a_file_of_a_secret_that_is_not_there_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY_FILE", "/nowhere/secret")
    with pytest.raises(SettingError, match="SECRET_KEY_FILE='/nowhere/secret' can't be read"):
        read()
