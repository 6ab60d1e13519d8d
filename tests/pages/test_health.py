"""`/health`, `/health/ready`, `/health/live`: whether the gateway and its Ollama are up, for anybody who asks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from benchmarks.stub_client import StubProcess
from gateway import __version__
from tests.harness import GatewayServer, wait_until
from tests.proxy.wire import Client, ask

LONGEST_ANSWER = 2.5  # seconds, with an Ollama that never answers


@pytest.fixture(scope="module")
def ollama() -> Iterator[StubProcess]:
    """A stub of its own, since these tests break it."""
    with StubProcess() as process:
        yield process


@pytest.fixture(scope="module")
def server(ollama: StubProcess) -> Iterator[GatewayServer]:
    with GatewayServer(ollama_url=ollama.url) as running:
        yield running


@pytest.fixture
def well(ollama: StubProcess, server: GatewayServer) -> Iterator[None]:
    """The stub is well before and after, and the gateway knows it."""
    ollama.reset()
    wait_until(lambda: upstream(server) == "up", 10)
    yield
    ollama.reset()


def upstream(server: GatewayServer) -> str:
    return str(httpx.get(f"{server.url}/health").json()["upstream"])


@pytest.mark.usefixtures("well")
def test_it_says_what_is_up_and_in_which_version(server: GatewayServer) -> None:
    answer = httpx.get(f"{server.url}/health")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-request-id"]
    said = answer.json()
    assert said.pop("upstream_version")
    assert said == {"status": "ok", "upstream": "up", "version": __version__}


@pytest.mark.usefixtures("well")
def test_it_is_ready_while_ollama_is_up(server: GatewayServer) -> None:
    answer = httpx.get(f"{server.url}/health/ready")
    assert (answer.status_code, answer.json()["status"], answer.json()["upstream"]) == (200, "ok", "up")


@pytest.mark.usefixtures("well")
@pytest.mark.parametrize("trouble", ["status=500", "status=401", "empty=1 status=200", "die_after=0", "malformed=json"])
def test_an_ollama_that_fails_is_down(server: GatewayServer, ollama: StubProcess, trouble: str) -> None:
    ollama.behave("/api/version", trouble)
    wait_until(lambda: upstream(server) == "down", 5)
    assert httpx.get(f"{server.url}/health").status_code == 200


@pytest.mark.usefixtures("well")
def test_an_ollama_that_is_silent_is_down_and_nobody_waits_long_to_hear_it(
    server: GatewayServer, ollama: StubProcess
) -> None:
    ollama.behave("/api/version", "hang=1")
    waits = []

    def down() -> bool:
        began = time.monotonic()
        said = upstream(server)
        waits.append(time.monotonic() - began)
        return said == "down"

    wait_until(down, 10)
    assert max(waits) < LONGEST_ANSWER


@pytest.mark.usefixtures("well")
def test_it_is_unready_while_ollama_is_down_and_ready_again_afterwards(
    server: GatewayServer, ollama: StubProcess
) -> None:
    ollama.behave("/api/version", "status=500")
    wait_until(lambda: httpx.get(f"{server.url}/health/ready").status_code == 503, 5)
    answer = httpx.get(f"{server.url}/health/ready")
    assert answer.headers["retry-after"].isdigit()
    assert answer.json() == {
        "status": "unavailable",
        "upstream": "down",
        "version": __version__,
        "upstream_version": None,
    }
    assert "django.request" not in server.log(), "a check that finds Ollama down is no error of the gateway's"
    ollama.reset()
    wait_until(lambda: httpx.get(f"{server.url}/health/ready").status_code == 200, 5)


@pytest.mark.usefixtures("well")
def test_it_lives_without_asking_ollama(server: GatewayServer, ollama: StubProcess) -> None:
    ollama.behave("/api/version", "hang=1")
    answer = httpx.get(f"{server.url}/health/live", timeout=1.5)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "version": __version__})


@pytest.mark.usefixtures("well")
def test_many_checks_at_once_ask_ollama_once(server: GatewayServer, ollama: StubProcess) -> None:
    ollama.behave("/api/version", "hang=1")
    wait_until(lambda: upstream(server) == "down", 10)
    before = len(ollama.requests("/api/version"))
    began = time.monotonic()
    with ThreadPoolExecutor(40) as pool:
        said = list(pool.map(upstream, [server] * 40))
    # An answer counts for a second from when it is there, and getting it takes two.
    allowed = 1 + int((time.monotonic() - began) / 3 + 1)
    assert set(said) == {"down"}
    assert len(ollama.requests("/api/version")) - before <= allowed


def test_an_absent_ollama_is_down_and_its_address_is_not_told() -> None:
    with GatewayServer(ollama_url="http://user-visible.invalid:12345") as server:
        answer = httpx.get(f"{server.url}/health")
        ready = httpx.get(f"{server.url}/health/ready")
        page = httpx.get(f"{server.url}/", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.json()["upstream"], ready.status_code) == (200, "down", 503)
    for said in (answer, ready, page):
        assert "user-visible" not in said.text
        assert "12345" not in said.text


@pytest.mark.parametrize("path", ["/health", "/health/ready", "/health/live", "/api/info", "/api/schema"])
def test_other_methods_are_refused_in_json(gateway: GatewayServer, path: str) -> None:
    answer = httpx.post(f"{gateway.url}{path}", json={})
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    assert answer.json()["error"] == "method_not_allowed"
    assert answer.json()["message"]


@pytest.mark.parametrize("path", ["/health", "/api/info", "/api/schema", "/docs", "/"])
def test_head_and_options_are_answered_without_a_body(gateway: GatewayServer, path: str) -> None:
    head = httpx.head(f"{gateway.url}{path}")
    whole = httpx.get(f"{gateway.url}{path}")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == whole.headers["content-type"]
    options = httpx.options(f"{gateway.url}{path}")
    assert (options.status_code, options.content) == (200, b"")
    assert "GET" in options.headers["allow"]


def test_a_web_page_of_another_origin_may_read_it(gateway: GatewayServer) -> None:
    answer = httpx.get(f"{gateway.url}/health", headers={"Origin": "https://status.example"})
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.usefixtures("well")
@pytest.mark.parametrize("path", ["/health", "/health/ready", "/health/live", "/health/", "//health", "/health/live/"])
@pytest.mark.parametrize(
    "host",
    ["10.1.2.3:8100", "gw.internal", "evil.example", "", "[::1", "a b", "x:y:z", "<script>", "a,b", "localhost:99999"],
)
def test_it_answers_whatever_host_is_named(server: GatewayServer, path: str, host: str) -> None:
    for method in ("GET", "HEAD"):
        answer = ask(server, path, method=method, key=False, Host=host)
        assert answer.status == 200
        assert host not in answer.body.decode() or not host


def test_it_answers_without_a_host(server: GatewayServer) -> None:
    with Client(server) as client:
        client.send(b"GET /health/live HTTP/1.0\r\n\r\n")
        assert client.answer().status == 200


@pytest.mark.parametrize("path", ["/", "/docs", "/api/info", "/metrics", "/api/v1/key", "/healthy", "/admin/login/"])
def test_nothing_else_does(server: GatewayServer, path: str) -> None:
    assert ask(server, path, method="GET", Host="evil.example").status == 400


@pytest.mark.parametrize(
    ("path", "status"),
    [
        *(
            ("/docs/", 200),
            ("//docs", 200),
            ("/api//docs", 200),
            ("/api/info/", 200),
            ("/api/schema/", 200),
            ("//", 200),
        ),
        *(("//admin/login/", 200), ("//static/gateway/page.css", 200), ("/api/v1/key/", 200), ("//api/v1/key", 200)),
        *(
            ("/docs//", 404),
            ("///docs", 404),
            ("/docs/%2e/", 404),
            ("//%64ocs", 404),
            ("/docs%2f", 404),
            ("/%2fdocs", 404),
        ),
    ],
)
def test_a_page_with_a_slash_too_many_is_the_page(server: GatewayServer, path: str, status: int) -> None:
    assert ask(server, path, method="GET").status == status
