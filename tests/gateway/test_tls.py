"""What TLS in front of the gateway changes: cookies, HSTS, and logging into the admin through the proxy."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx
import pytest

from tests.harness import ADMIN_PASSWORD, GatewayServer

Make = Callable[..., GatewayServer]
NAME = "gateway.example.org"


@pytest.fixture
def server(make_gateway: Make) -> GatewayServer:
    """A production server, as a proxy that speaks TLS reaches it."""
    return make_gateway(APP_ENV="production", ALLOWED_HOSTS=NAME)


def log_in(server: GatewayServer, **headers: str) -> httpx.Response:
    """Logs in as a browser does whose proxy passes its headers on; Secure cookies travel, as they would."""
    page = httpx.get(f"{server.url}/admin/login/", headers={"Host": NAME, **headers})
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert token
    return httpx.post(
        f"{server.url}/admin/login/",
        data={"username": "admin", "password": ADMIN_PASSWORD, "csrfmiddlewaretoken": token[1]},
        headers={"Host": NAME, "Cookie": f"csrftoken={page.cookies['csrftoken']}", **headers},
    )


def test_a_browser_logs_in_through_a_proxy_that_says_nothing(server: GatewayServer) -> None:
    assert log_in(server, Origin=f"https://{NAME}").status_code == 302


def test_another_site_can_not_log_in(server: GatewayServer) -> None:
    assert log_in(server, Origin="https://evil.example.org").status_code == 403


def test_cookies_are_secure(server: GatewayServer) -> None:
    answer = log_in(server, Origin=f"https://{NAME}")
    cookies = answer.headers.get_list("set-cookie")
    assert {cookie.partition("=")[0] for cookie in cookies} == {"csrftoken", "sessionid"}
    assert all("; Secure" in cookie for cookie in cookies)


def test_without_tls_a_browser_logs_in_too(make_gateway: Make) -> None:
    server = make_gateway(APP_ENV="production", ALLOWED_HOSTS=NAME, TLS="off")
    answer = log_in(server, Origin=f"http://{NAME}")
    assert answer.status_code == 302
    assert "Secure" not in str(answer.headers.get_list("set-cookie"))


def test_a_trusted_proxy_that_says_https_is_told_to_stay_with_it(make_gateway: Make) -> None:
    server = make_gateway(APP_ENV="production", ALLOWED_HOSTS=NAME, TRUSTED_PROXIES="127.0.0.1")
    headers = {"Host": NAME, "X-Forwarded-Proto": "https"}
    answer = httpx.get(f"{server.url}/admin/login/", headers=headers)
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


def test_nobody_else_can_say_https(server: GatewayServer) -> None:
    answer = httpx.get(f"{server.url}/admin/login/", headers={"Host": NAME, "X-Forwarded-Proto": "https"})
    assert "strict-transport-security" not in answer.headers


def test_a_keyed_request_is_not_redirected(server: GatewayServer) -> None:
    answer = httpx.post(
        f"{server.url}/api/v1/generate", headers={"Host": NAME, **server.headers}, json={"prompt": "Hi"}
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("headers", "cause", "logged"),
    [
        ({"Origin": f"https://{NAME}:8443"}, "must pass the original Host with its port", "proxy_set_header Host"),
        ({"Origin": f"http://{NAME}", "Cookie": "x=y"}, "cookies travel over HTTPS alone", "TLS=off"),
        ({"Origin": f"https://{NAME}", "Cookie": "x=y"}, "arrived as one for http://", "TRUSTED_PROXIES"),
    ],
    ids=["another port", "over HTTP", "without a cookie"],
)
def test_a_failed_session_check_names_its_cause(
    server: GatewayServer, headers: dict[str, str], cause: str, logged: str
) -> None:
    answer = log_in(server, **headers)
    assert answer.status_code == 403
    assert "Your session check failed." in answer.text
    assert cause in answer.text
    assert "TRUSTED_PROXIES" not in answer.text
    assert logged in server.log()
