"""Everything works under a path prefix, whether the proxy in front takes it off or passes it on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from benchmarks.stub_client import StubProcess
from gateway.addresses import listening
from gateway.values import path_prefix
from tests.dialects.front import BODIES
from tests.harness import ADMIN_PASSWORD, BASE_DIR, GatewayServer
from tests.nginx import nginx
from tests.proxy.wire import ask

PREFIX = "/ollama"
BLOCK = re.search(
    r"```nginx\n(location /ollama/ \{\n.*?^\}\n)```",
    (BASE_DIR / "docs/operations.md").read_text(),
    re.DOTALL | re.MULTILINE,
)
BROWSER = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def server(stub: StubProcess) -> Iterator[GatewayServer]:
    with GatewayServer(ollama_url=stub.url, BASE_PATH=PREFIX, TRUSTED_PROXIES="127.0.0.1") as running:
        yield running


@contextmanager
def front(folder: Path, block: str) -> Iterator[str]:
    """Runs an nginx with that block; yields its address."""
    port = listening("127.0.0.1", 0).port
    url = f"http://127.0.0.1:{port}"
    with nginx(folder, f"listen 127.0.0.1:{port};\n{block}", lambda: answers(url)):
        yield url


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}{PREFIX}/health/live").status_code == 200
    except httpx.ConnectError:
        return False


@pytest.fixture(scope="module", params=["passes it on", "takes it off", "none in front"])
def base(
    request: pytest.FixtureRequest, server: GatewayServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The base URL that clients use."""
    assert BLOCK, "docs/operations.md has no block for nginx"
    with ExitStack() as stack:
        if request.param == "none in front":
            yield f"{server.url}{PREFIX}"
            return
        slash = "/" if request.param == "takes it off" else ""
        block = BLOCK[1].replace("http://127.0.0.1:8100", f"{server.url}{slash}")
        assert f"{server.url}{slash};" in block
        yield stack.enter_context(front(tmp_path_factory.mktemp("nginx"), block)) + PREFIX


def own_links(page: str) -> set[str]:
    """The addresses on this host that a page names."""
    return set(re.findall(r"(?:href|src|action|data-schema)=[\"'](/[^\"'#?]*)", page))


def test_pages_and_all_that_they_name_are_under_the_prefix(base: str) -> None:
    with httpx.Client() as browser:
        seen: set[str] = set()
        host = base.removesuffix(PREFIX)
        for path in ("/", "/docs", "/admin/login/", "/unknown/page"):
            page = browser.get(f"{base}{path}", headers=BROWSER, follow_redirects=True)
            assert page.status_code == (404 if "unknown" in path else 200)
            seen |= own_links(page.text)
        assert f"{PREFIX}/static/gateway/page.css" in seen
        assert f"{PREFIX}/api/schema" in seen
        for link in seen:
            assert link.startswith(f"{PREFIX}/"), link
            assert browser.get(f"{host}{link}", follow_redirects=True).status_code == 200, link


def test_people_log_into_the_admin_and_walk_through_it(base: str) -> None:
    host = base.removesuffix(PREFIX)
    with httpx.Client(headers={"Origin": host, "Referer": f"{base}/admin/login/"}) as browser:
        first = browser.get(f"{base}/admin/")
        assert (first.status_code, first.headers["location"]) == (302, f"{PREFIX}/admin/login/?next={PREFIX}/admin/")
        browser.get(f"{base}/admin/login/")
        assert {cookie.path for cookie in browser.cookies.jar} == {f"{PREFIX}/"}
        form = {"username": "admin", "password": ADMIN_PASSWORD, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        answer = browser.post(f"{base}/admin/login/?next={PREFIX}/admin/", data=form)
        assert (answer.status_code, answer.headers["location"]) == (302, f"{PREFIX}/admin/")
        assert {cookie.path for cookie in browser.cookies.jar} == {f"{PREFIX}/"}
        home = browser.get(f"{base}/admin/")
        assert home.status_code == 200
        links = {link for link in own_links(home.text) if "logout" not in link}
        assert f"{PREFIX}/admin/apikeys/key/" in links
        for link in links:
            assert link.startswith(f"{PREFIX}/"), link
            assert browser.get(f"{host}{link}", follow_redirects=True).status_code == 200, link
        assert browser.get(f"{base}/admin/apikeys/key").headers["location"].startswith(f"{PREFIX}/admin/")


def test_every_dialect_is_served_under_it(base: str, server: GatewayServer) -> None:
    with httpx.Client(headers=server.headers, timeout=20) as client:
        for path, body in BODIES.items():
            assert client.post(f"{base}{path}", json=body).status_code == 200, path
        for path in (
            "/api/tags",
            "/api/tags/",
            "//api/tags",
            "/v1/models",
            "/v1/models/stub",
            "/api/v1/key",
            "/health",
        ):
            assert client.get(f"{base}{path}").status_code == 200, path
        assert client.get(base, headers={"Accept": "*/*"}, follow_redirects=True).text == "Ollama is running"
        assert set(client.get(f"{base}/v1/unknown").json()["error"]) == {"message", "type", "param", "code"}
        assert httpx.get(f"{base}/api/tags").status_code == 401


def test_what_programs_read_names_it(base: str) -> None:
    schema = httpx.get(f"{base}/api/schema").json()
    assert schema["servers"] == [{"url": PREFIX}]
    assert "/api/v1/generate" in schema["paths"]
    assert f"{base}/api/v1/generate" in str(schema)
    info = httpx.get(f"{base}/api/info").json()
    assert info["docs"] == {"html": f"{PREFIX}/docs", "openapi": f"{PREFIX}/api/schema"}
    assert {one["path"].split("/")[1] for one in info["endpoints"]} == {"ollama"}
    assert f"curl -N {base}/api/v1/generate" in httpx.get(f"{base}/", headers=BROWSER).text
    assert httpx.get(f"{base}/favicon.ico").headers["location"] == f"{PREFIX}/static/gateway/favicon.svg"


def test_requests_without_it_are_served_too(server: GatewayServer) -> None:
    for path in ("/api/tags", "/health", "/docs", "/", "/static/gateway/page.css", "/admin/login/"):
        assert ask(server, path, method="GET").status == 200


def test_only_the_prefix_itself_is_one(server: GatewayServer) -> None:
    for path in (
        "/ollamaX/api/tags",
        "/Ollama/api/tags",
        "/%6fllama/api/tags",
        "/ollama/ollama/api/tags",
        "/x/ollama/api/tags",
    ):
        assert ask(server, path, method="GET").status == 404
    for path in ("/ollama/../api/pull", "/ollama/%2e%2e/api/tags", "/ollama%2Fapi/tags", "/ollama///api/tags"):
        assert ask(server, path, method="GET").status == 404


def test_the_start_names_it(server: GatewayServer) -> None:
    assert f"{server.url}{PREFIX}/admin/" in server.log()
    assert f"{server.url}{PREFIX}/docs" in server.log()


# From a proxy's header


def test_a_trusted_proxy_sets_it(make_gateway: Callable[..., GatewayServer]) -> None:
    server = make_gateway(TRUSTED_PROXIES="127.0.0.1")
    for path in ("/admin/", f"{PREFIX}/admin/"):
        answer = ask(server, path, method="GET", key=False, X_Forwarded_Prefix=f"{PREFIX}/")
        assert answer.headers["location"].startswith(f"{PREFIX}/admin/login/")
    for prefix in ("/one", "/two/three"):
        page = ask(server, "/", method="GET", key=False, Accept="text/html", X_Forwarded_Prefix=prefix)
        assert own_links(page.body.decode())
        assert all(link.startswith(f"{prefix}/") for link in own_links(page.body.decode()))
    assert ask(server, "/admin/", method="GET", key=False).headers["location"].startswith("/admin/login/")


@pytest.mark.parametrize(
    "named", ["//evil.example", "https://evil.example", "/a/../b", "/<script>", "/api", "/a,/b", "/"]
)
def test_what_is_not_a_prefix_is_ignored(server: GatewayServer, named: str) -> None:
    answer = ask(server, "/admin/", method="GET", key=False, X_Forwarded_Prefix=named)
    assert answer.headers["location"].startswith(f"{PREFIX}/admin/login/")


def test_nobody_else_sets_it(gateway: GatewayServer) -> None:
    answer = ask(gateway, "/admin/", method="GET", key=False, X_Forwarded_Prefix=PREFIX)
    assert answer.headers["location"].startswith("/admin/login/")
    assert ask(gateway, f"{PREFIX}/api/tags", method="GET", X_Forwarded_Prefix=PREFIX).status == 404


def test_script_name_is_read_too(make_gateway: Callable[..., GatewayServer]) -> None:
    server = make_gateway(SCRIPT_NAME="/from/cgi/")
    assert ask(server, "/from/cgi/api/tags", method="GET").status == 200


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("", ""),
        ("/", ""),
        ("/ollama", "/ollama"),
        ("ollama/", "/ollama"),
        ("/a/b-c/d.e", "/a/b-c/d.e"),
        ("/apis", "/apis"),
    ],
)
def test_a_prefix_is_reduced(given: str, meant: str) -> None:
    assert path_prefix(given) == meant


@pytest.mark.parametrize(
    "given",
    [
        "/api",
        "/api/x",
        "/V1",
        "/admin",
        "/static",
        "/a//b",
        "/a/../b",
        "/.",
        "/a b",
        "/a?b",
        "/é",
        "/%61",
        "/" + "a" * 300,
    ],
)
def test_what_can_not_be_one_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="a path such as /ollama"):
        path_prefix(given)
