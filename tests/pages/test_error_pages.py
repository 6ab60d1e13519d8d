"""What Django answers when it has no page: JSON to programs, a small page to browsers, never what went wrong inside."""

from __future__ import annotations

import json

import httpx
import pytest
from django.http import HttpRequest
from django.test import RequestFactory

from gateway import errors
from tests.harness import GatewayServer
from tests.pages.links import assert_our_own

BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"


def asked(path: str, accept: str) -> HttpRequest:
    return RequestFactory().get(path, HTTP_ACCEPT=accept)


@pytest.mark.parametrize(
    ("view", "status"),
    [
        (errors.bad_request, 400),
        (errors.permission_denied, 403),
        (errors.page_not_found, 404),
        (errors.server_error, 500),
    ],
)
class TestEachError:
    def test_is_a_page_for_browsers(self, view: errors.Handler, status: int) -> None:
        answer = view(asked("/admin/x", BROWSER), exception=RuntimeError("inner words"))
        assert answer.status_code == status
        assert answer["Content-Type"].startswith("text/html")
        assert "script-src" not in answer["Content-Security-Policy"]
        assert "inner words" not in answer.content.decode()
        assert_our_own(answer.content.decode())

    @pytest.mark.parametrize(
        ("path", "accept"),
        [
            ("/admin/x", "*/*"),
            ("/admin/x", "application/json"),
            ("/api/info", BROWSER),
            ("/v1/models", BROWSER),
            ("/health", BROWSER),
        ],
    )
    def test_is_json_for_programs(self, view: errors.Handler, status: int, path: str, accept: str) -> None:
        if view is errors.page_not_found and accept == BROWSER:
            pytest.skip("a browser gets a page for a 404 everywhere")
        answer = view(asked(path, accept), exception=RuntimeError("inner words"))
        assert (answer.status_code, answer["Content-Type"]) == (status, "application/json")
        assert "inner words" not in answer.content.decode()
        assert set(json.loads(answer.content)) == {"error", "message"}


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/static/absent.css", {}, 404),
        ("/", {"Host": "elsewhere.example"}, 400),
        ("/api/info", {"Host": "elsewhere.example", "Accept": BROWSER}, 400),
    ],
)
def test_programs_get_json(gateway: GatewayServer, path: str, headers: dict[str, str], status: int) -> None:
    answer = httpx.get(f"{gateway.url}{path}", headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    assert set(answer.json()) == {"error", "message"}


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [("/static/absent.css", {}, 404), ("/", {"Host": "elsewhere.example"}, 400)],
)
def test_browsers_get_a_page(gateway: GatewayServer, path: str, headers: dict[str, str], status: int) -> None:
    answer = httpx.get(f"{gateway.url}{path}", headers={"Accept": BROWSER, **headers})
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["x-request-id"]
    assert_our_own(answer.text)


def test_a_form_without_its_cookie_is_refused_with_advice(gateway: GatewayServer) -> None:
    answer = httpx.post(f"{gateway.url}/admin/login/", data={"username": "admin"}, headers={"Accept": BROWSER})
    assert answer.status_code == 403
    assert "Reload the page and try again" in answer.text
    assert_our_own(answer.text)


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/api/nowhere", "/v1/nowhere", "/api/v1/nowhere", "/health/nowhere", "/docs/x", "/v1/x/y"],
)
def test_a_browser_gets_a_page_for_a_404_and_programs_json(gateway: GatewayServer, path: str) -> None:
    page = httpx.get(f"{gateway.url}{path}", headers={"Accept": BROWSER, **gateway.headers})
    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    assert "Not found" in page.text
    assert "script-src" not in page.headers["content-security-policy"]
    assert page.headers["x-request-id"]
    assert_our_own(page.text)
    for accept in ("*/*", "application/json"):
        answer = httpx.get(f"{gateway.url}{path}", headers={"Accept": accept, **gateway.headers})
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")
