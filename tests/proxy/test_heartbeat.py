"""`GET|HEAD /` to programs: what Ollama says of itself there, and what its command asks before anything else."""

from __future__ import annotations

import httpx
import pytest

from benchmarks.stub_client import StubProcess
from tests.harness import GatewayServer


@pytest.mark.parametrize("accept", ["*/*", "", "application/json"])
def test_a_program_hears_what_ollama_says(gateway: GatewayServer, accept: str) -> None:
    answer = httpx.get(f"{gateway.url}/", headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.text == "Ollama is running"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["vary"] == "Accept, origin"


def test_a_head_says_it_without_a_body(gateway: GatewayServer) -> None:
    answer = httpx.head(f"{gateway.url}/")
    assert answer.status_code == 200
    assert answer.content == b""
    assert answer.headers["content-length"] == "17"


def test_a_browser_gets_the_page(gateway: GatewayServer) -> None:
    answer = httpx.get(f"{gateway.url}/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert answer.headers["content-type"].startswith("text/html")
    assert "Accept" in answer.headers["vary"]


def test_ollama_is_not_asked(gateway: GatewayServer, stub: StubProcess) -> None:
    httpx.head(f"{gateway.url}/")
    assert stub.requests("/") == []


def test_nothing_can_be_posted_there(gateway: GatewayServer) -> None:
    answer = httpx.post(f"{gateway.url}/", json={})
    assert answer.status_code == 405
    assert answer.json()["error"] == "method_not_allowed"
