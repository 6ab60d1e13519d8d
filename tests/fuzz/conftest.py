"""A gateway with a few keys, and somebody of the staff who is logged in."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from benchmarks.stub_client import StubProcess
from tests.fuzz.connection import Prober
from tests.harness import ADMIN_PASSWORD, GatewayServer


@pytest.fixture(scope="module")
def server(stub: StubProcess) -> Iterator[GatewayServer]:
    """A gateway of its own: what a fuzz writes is nobody else's."""
    with GatewayServer(ollama_url=stub.url) as made:
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
