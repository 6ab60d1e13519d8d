"""`manage.py backup` writes one file that a fresh clone restores from."""

from __future__ import annotations

import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest

from benchmarks.stub_client import StubProcess
from tests.apikeys.dialects import ask
from tests.harness import ADMIN_PASSWORD, GatewayServer
from tests.postgres import Postgres

OTHER = {"SECRET_KEY": "another secret " + "r" * 40, "KEY_PEPPER": "another pepper " + "q" * 40}


def counts(server: GatewayServer) -> str:
    code = (
        "from apikeys.models import *; from django.contrib.auth.models import User;"
        "print([model.objects.count() for model in (Key, AuditEntry, Allowance, User)])"
    )
    return server.manage("shell", "-v", "0", "-c", code).stdout


def a_gateway_with_a_past(stub: StubProcess, folder: Path, backup: Path) -> tuple[str, str, str]:
    with GatewayServer(ollama_url=stub.url, folder=folder) as old:
        rules = ("--tokens-per-day", "9", "--models", "mistral")
        secret = old.manage("createapikey", "kept", "--quiet", *rules).stdout.strip()
        revoked = old.manage("createapikey", "revoked", "--quiet").stdout.strip()
        old.manage("revokeapikey", revoked)
        assert "3 keys" in old.manage("backup", str(backup)).stdout
        return secret, revoked, counts(old)


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_a_fresh_clone_becomes_what_the_old_one_was(
    request: pytest.FixtureRequest, stub: StubProcess, tmp_path: Path, database: str
) -> None:
    backup = tmp_path / "backup.tar.gz"
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    secret, revoked, before = a_gateway_with_a_past(stub, tmp_path / "old", backup)
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    settings: dict[str, Any] = dict(OTHER)
    if database == "postgres":
        cluster: Postgres = request.getfixturevalue("postgres")
        settings["DATABASE_URL"] = cluster.url("restored")
    new = GatewayServer(ollama_url=stub.url, folder=tmp_path / "new", fresh=True, **settings)
    said = new.manage("restore", str(backup)).stdout
    assert "Restored 3 keys" in said
    assert counts(new) == before
    assert "is whole" in new.manage("verifyaudit").stdout
    with new:
        assert ask(new, secret).status_code == 200
        assert ask(new, secret, model="other").status_code == 404
        assert ask(new, revoked).status_code == 401
        fresh = new.manage("createapikey", "fresh", "--quiet").stdout.strip()
        assert ask(new, fresh).status_code == 200
    for value in (secret, revoked, ADMIN_PASSWORD):
        assert value not in new.log()


def test_without_secrets_it_needs_the_pepper_from_elsewhere(stub: StubProcess, tmp_path: Path) -> None:
    backup = tmp_path / "backup.tar.gz"
    old = GatewayServer(ollama_url=stub.url, folder=tmp_path)
    old.manage("backup", "--without-secrets", str(backup))
    with tarfile.open(backup) as archive:
        assert archive.getnames() == ["manifest.json", "tables.jsonl"]
    (tmp_path / "new").mkdir()
    new = GatewayServer(ollama_url=stub.url, folder=tmp_path / "new", fresh=True, **OTHER)
    refused = new.manage("restore", str(backup), check=False)
    assert refused.returncode == 1
    assert "KEY_PEPPER here is another one" in refused.stderr
    (tmp_path / "newer").mkdir()
    newer = GatewayServer(ollama_url=stub.url, folder=tmp_path / "newer", fresh=True)
    assert "Restored 1 keys" in newer.manage("restore", str(backup)).stdout


def test_keys_that_are_here_are_not_replaced_unasked(stub: StubProcess, tmp_path: Path) -> None:
    backup = tmp_path / "backup.tar.gz"
    server = GatewayServer(ollama_url=stub.url, folder=tmp_path)
    server.manage("backup", str(backup))
    server.manage("createapikey", "later")
    refused = server.manage("restore", str(backup), check=False)
    assert (refused.returncode, "--yes" in refused.stderr) == (1, True)
    assert "later" in server.manage("listapikeys").stdout
    server.manage("restore", "--yes", str(backup))
    assert "later" not in server.manage("listapikeys").stdout


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08\x00broken"])
def test_what_is_no_backup_changes_nothing(stub: StubProcess, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tar.gz").write_bytes(content)
    server = GatewayServer(ollama_url=stub.url, folder=tmp_path)
    refused = server.manage("restore", "--yes", str(tmp_path / "x.tar.gz"), check=False)
    assert "is no backup" in refused.stderr
    assert "tests" in server.manage("listapikeys").stdout
