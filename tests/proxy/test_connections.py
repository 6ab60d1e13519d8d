"""How many clients may be connected, how long people's forms may take, and what strangers' paths are called."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.harness import GatewayServer, wait_until
from tests.proxy.wire import Client, ask, process_of


def can_ask(server: GatewayServer) -> bool:
    try:
        return ask(server, "/health/live", method="GET").status == 200
    except (AssertionError, OSError):
        return False


def hold(server: GatewayServer, clients: ExitStack, count: int) -> list[Client]:
    return [clients.enter_context(Client(server)) for _ in range(count)]


def test_a_connection_too_many_is_told_so_and_others_go_on(make_gateway: Callable[..., GatewayServer]) -> None:
    server = make_gateway(MAX_CONNECTIONS=5)
    wait_until(lambda: can_ask(server), 5)
    with ExitStack() as clients:
        held = hold(server, clients, 5)
        for client in held:
            client.ask("/health/live", method="GET")
            assert client.answer().status == 200
        with Client(server) as late:
            answer = late.answer()
            assert answer.status == 503
            assert answer.json()["error"] == "unavailable"
            assert late.is_closed()
        held[0].ask("/health/live", method="GET")
        assert held[0].answer().status == 200
    wait_until(lambda: can_ask(server), 5)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of another process are Linux' alone")
def test_idle_connections_leave_files_for_the_calls(make_gateway: Callable[..., GatewayServer]) -> None:
    server = make_gateway()
    wait_until(lambda: can_ask(server), 5)
    process = process_of(server)
    soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    assert soft in (hard, resource.RLIM_INFINITY) or soft >= 65_536
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (120, hard))
    with ExitStack() as clients:
        first = hold(server, clients, 1)[0]
        for _ in range(20):
            hold(server, clients, 10)
            first.ask("/health/live", method="GET")
            assert first.answer().status == 200
        assert process.num_fds() < 100
        first.ask("/api/v1/generate", {"prompt": "a"})
        assert first.answer().json()["response"] == "a"
    assert "Errno 24" not in server.log()


def test_a_form_that_drips_is_cut_all_the_same(small_gateway: GatewayServer) -> None:
    begun = time.monotonic()
    with Client(small_gateway) as client:
        client.send(b"POST /admin/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000\r\n\r\n")
        client.sock.settimeout(0.2)
        while time.monotonic() - begun < 5:
            client.send(b"a")
            try:
                data = client.sock.recv(1000)
            except TimeoutError:
                continue
            assert data.startswith(b"HTTP/1.1 408")
            break
    assert time.monotonic() - begun < 4


@pytest.mark.parametrize("path", ["/static/x%0AFORGED%1b[31m", "/admin/FORGED%0A", "/adminFORGED%1b", "/FORGED"])
def test_a_path_that_a_client_makes_up_is_not_logged(gateway: GatewayServer, path: str) -> None:
    before = len(gateway.log())
    answer = ask(gateway, path, method="GET", key=False)
    wait_until(lambda: answer.headers["x-request-id"] in gateway.log(), 5)
    assert "FORGED" not in gateway.log()[before:]
    assert "\x1b" not in gateway.log()[before:]


@pytest.mark.parametrize(
    ("path", "route"),
    [("/admin/login/", "/admin/*"), ("/static/nothing", "/static/*"), ("/docs", "/docs"), ("/", "/")],
)
def test_a_page_is_logged_by_its_route(gateway: GatewayServer, path: str, route: str) -> None:
    wanted = ask(gateway, path, method="GET", key=False).headers["x-request-id"]
    wait_until(lambda: wanted in gateway.log(), 5)
    (line,) = (line for line in gateway.log().splitlines() if wanted in line)
    assert f" GET {route} " in line
