"""A server that made its own database, and commands beside it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import httpx
import pytest

from benchmarks.stub_client import StubProcess
from tests.harness import GatewayServer, wait_until


def ask(server: GatewayServer, key: str) -> int:
    body = {"model": "stub", "prompt": "x"}
    return httpx.post(f"{server.url}/api/v1/generate", headers={"X-API-Key": key}, json=body).status_code


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it looks into /proc")
def test_commands_beside_a_first_server_leave_it_its_database(stub: StubProcess) -> None:
    with GatewayServer(ollama_url=stub.url, fresh=True) as server:
        server.manage("listapikeys")
        assert server.process is not None
        files = Path(f"/proc/{server.process.pid}/fd").iterdir()
        assert [name for name in map(os.readlink, files) if "db.sqlite3" in name and "(deleted)" in name] == []
        key = server.manage("createapikey", "new", "--quiet").stdout.strip()
        assert ask(server, key) == 200
        server.manage("revokeapikey", key)
        wait_until(lambda: ask(server, key) == 401, 2.0, server.log)
        assert "can't be reached" not in server.log()
