"""The README's nginx block, in a real nginx with TLS on a port of its own."""

from __future__ import annotations

import re
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from gateway.addresses import listening
from tests.harness import ADMIN_PASSWORD, BASE_DIR, GatewayServer
from tests.nginx import nginx, program

BLOCK = re.search(
    r"```nginx\n(location / \{\n.*?^\}\n)```", (BASE_DIR / "README.md").read_text(), re.DOTALL | re.MULTILINE
)
SERVER = """
        listen 127.0.0.1:{port} ssl;
        server_name localhost;
        ssl_certificate {folder}/certificate.pem;
        ssl_certificate_key {folder}/key.pem;
        {block}
"""


@pytest.fixture
def server(make_gateway: Callable[..., GatewayServer]) -> GatewayServer:
    return make_gateway(APP_ENV="production", ALLOWED_HOSTS="localhost", TRUSTED_PROXIES="127.0.0.1")


@pytest.fixture
def front(server: GatewayServer, tmp_path: Path) -> Iterator[httpx.Client]:
    """A browser in front of nginx in front of the gateway."""
    assert BLOCK, "the README has no nginx block"
    program("nginx")
    port = listening("127.0.0.1", 0).port
    options = ("-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost")
    files = ("-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "certificate.pem")
    subprocess.run([program("openssl"), "req", *options, *files], cwd=tmp_path, check=True, capture_output=True)
    block = BLOCK[1].replace("http://10.0.0.7:8100", server.url)
    assert server.url in block
    lines = SERVER.format(folder=tmp_path, port=port, block=block)
    url, trust = f"https://localhost:{port}", ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))
    with (
        httpx.Client(base_url=url, verify=trust, headers={"Origin": url}, timeout=10) as browser,
        nginx(tmp_path, lines, lambda: answers(browser)),
    ):
        yield browser


def answers(browser: httpx.Client) -> bool:
    """Tells whether nginx is up."""
    try:
        return browser.get("/health/live").status_code == 200
    except httpx.ConnectError:
        return False


def log_in(browser: httpx.Client) -> httpx.Response:
    browser.get("/admin/login/")
    form = {"username": "admin", "password": ADMIN_PASSWORD, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    return browser.post(
        "/admin/login/?next=/admin/", data=form, headers={"Referer": f"{browser.base_url}/admin/login/"}
    )


def test_people_log_into_the_admin_on_a_port_of_its_own(front: httpx.Client) -> None:
    answer = log_in(front)
    assert (answer.status_code, answer.headers["location"]) == (302, "/admin/")
    assert all("; Secure" in cookie for cookie in answer.headers.get_list("set-cookie"))
    assert front.get("/admin/").status_code == 200
    assert front.get("/admin").headers["location"].startswith(("/admin/", str(front.base_url)))


def test_a_stream_passes_as_it_comes(front: httpx.Client, server: GatewayServer) -> None:
    body = {"model": "stub", "prompt": "a b c [[interval_ms=20]]", "stream": True}
    with front.stream("POST", "/api/v1/generate", headers=server.headers, json=body) as answer:
        parts = list(answer.iter_raw())
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert len(parts) > 1
