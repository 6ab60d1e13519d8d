"""A gateway with a few keys, on each database, and an administrator who is logged in."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator

import httpx
import pytest

from benchmarks.stub_client import StubProcess
from tests.fuzz.connection import Prober
from tests.harness import ADMIN_PASSWORD, GatewayServer
from tests.postgres import Postgres

SET_PASSWORD = f"""
from django.contrib.auth.models import User
admin = User.objects.get(username="admin")
admin.set_password({ADMIN_PASSWORD!r})
admin.save()
"""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, stub: StubProcess) -> Iterator[GatewayServer]:
    """A gateway of its own: no other test sees what a fuzz writes. The databases refuse different values."""
    settings: dict[str, str] = {}
    if request.param == "postgresql":
        cluster: Postgres = request.getfixturevalue("postgres")
        settings["DATABASE_URL"] = cluster.url(f"fuzz_{secrets.token_hex(4)}")
    with GatewayServer(ollama_url=stub.url, fresh=bool(settings), **settings) as made:
        if settings:
            made.manage("shell", "-c", SET_PASSWORD)
            made.key = made.manage("createapikey", "tests", "--quiet").stdout.strip()
        for name in ("Ana", "Ben"):
            made.manage("createapikey", name, "--team", "research", "--requests-per-minute", "10")
        httpx.post(f"{made.url}/api/v1/generate", headers=made.headers, json={"prompt": "hi", "model": "stub"})
        yield made


@pytest.fixture
def prober(server: GatewayServer) -> Iterator[Prober]:
    """Sends requests, and looks at the log when the test is over."""
    made = Prober(server)
    yield made
    made.close()
    made.check_log()


@pytest.fixture(scope="module")
def manager(server: GatewayServer) -> str:
    """A key that may see and change all others."""
    return server.manage("createapikey", "manager", "--scopes", "inference,keys,metrics", "--quiet").stdout.strip()


@pytest.fixture(scope="module")
def session(server: GatewayServer) -> str:
    """The admin's cookies."""
    with httpx.Client(base_url=server.url) as browser:
        page = browser.get("/admin/login/").text
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        assert found
        form = {"username": "admin", "password": ADMIN_PASSWORD, "csrfmiddlewaretoken": found[1]}
        assert browser.post("/admin/login/", data=form, headers={"Referer": server.url}).status_code == 302
        return "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
