"""`/`: what this is, whether it is up, and where everything is."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from gateway import __version__
from tests.harness import GatewayServer
from tests.pages.links import assert_our_own

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def home(server: GatewayServer) -> httpx.Response:
    return httpx.get(f"{server.url}/", headers=BROWSER)


def test_it_says_that_all_is_up_and_in_which_version(gateway: GatewayServer) -> None:
    answer = home(gateway)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text.count('class="up"') == 2
    assert 'class="down"' not in answer.text
    assert __version__ in answer.text


def test_it_says_when_ollama_is_down(make_gateway: Callable[..., GatewayServer]) -> None:
    answer = home(make_gateway(ollama_url="http://127.0.0.1:9", OLLAMA_MODEL="<b>odd</b>"))
    assert answer.status_code == 200
    assert answer.text.count('class="up"') == 1
    assert answer.text.count('class="down"') == 1
    assert "<b>odd" not in answer.text
    assert "&lt;b&gt;odd" in answer.text


def test_its_links_lead_somewhere_here(gateway: GatewayServer) -> None:
    links = assert_our_own(home(gateway).text)
    assert {"/docs", "/admin/", "/api/info", "/health"} <= set(links.led_to)
    for address in {*links.loaded, *links.led_to}:
        assert httpx.get(f"{gateway.url}{address}", follow_redirects=True).status_code == 200, address


def test_its_command_names_the_address_that_the_reader_used(gateway: GatewayServer) -> None:
    page = httpx.get(f"http://localhost:{gateway.port}/", headers=BROWSER).text
    assert f"curl -N http://localhost:{gateway.port}/api/v1/generate" in page


def test_it_runs_no_script_and_stands_in_no_frame(gateway: GatewayServer) -> None:
    answer = home(gateway)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "<script" not in answer.text
    assert "set-cookie" not in answer.headers


def test_browsers_find_an_icon(gateway: GatewayServer) -> None:
    answer = httpx.get(f"{gateway.url}/favicon.ico", follow_redirects=True)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
