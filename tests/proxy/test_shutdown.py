"""SIGTERM and SIGINT: streams get their grace, then an error event and a clean end; the exit code is 0."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from benchmarks.stub_client import StubProcess
from tests.harness import GatewayServer, wait_until
from tests.proxy.wire import Client, ask, asked, error_of, events

GENERATE = "/api/v1/generate"
ENDLESS = "[[chunks=100000 interval_ms=20]]"
MakeGateway = Callable[..., GatewayServer]


def begin_to_stop(server: GatewayServer, number: int = signal.SIGTERM) -> None:
    assert server.process is not None
    server.process.send_signal(number)


def refuses(server: GatewayServer) -> bool:
    """Tells whether the server has stopped listening."""
    try:
        Client(server).leave()
    except ConnectionRefusedError:
        return True
    return False


def assert_clean(server: GatewayServer) -> None:
    assert "Traceback" not in server.log()
    assert "Unforeseen" not in server.log()
    assert "never retrieved" not in server.log()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_streams_end_with_an_error_event_after_the_grace(
    stub: StubProcess, make_gateway: MakeGateway, number: int
) -> None:
    server = make_gateway(SHUTDOWN_GRACE=1)
    with Client(server) as generate, Client(server) as completion, Client(server) as waiting, Client(server) as idle:
        generate.ask(GENERATE, {"prompt": ENDLESS, "stream": True})
        completion.ask("/api/v1/completions", {"prompt": ENDLESS, "stream": True})
        waiting.ask(GENERATE, {"prompt": "[[hang=1]]"})
        idle.ask("/api/v1/x", method="GET")
        assert idle.answer().status == 404
        assert generate.head().status == completion.head().status == 200
        generate.events(2)
        stub.wait_for(lambda stub: len(asked(stub)) == 3)

        begin_to_stop(server, number)
        begun = time.monotonic()
        assert idle.is_closed()
        wait_until(lambda: refuses(server), 5)
        generate.events(5)  # it goes on, within the grace

        for client in (generate, completion):
            last = events(b"".join(client.chunks()))[-1]
            assert error_of(last)["error"] == "unavailable"
            assert client.is_closed()
        assert time.monotonic() - begun > 0.9
        answer = waiting.answer()
        assert answer.status == 503
        assert answer.json()["error"] == "unavailable"
        assert int(answer.headers["retry-after"]) > 0
        assert waiting.is_closed()
    assert server.stop(number) == 0
    stub.wait_for(lambda stub: not stub.under_way())
    assert_clean(server)
    assert server.log().count("ended=cut") == 3


def test_a_stream_that_ends_within_the_grace_ends_as_ever(stub: StubProcess, make_gateway: MakeGateway) -> None:
    server = make_gateway(SHUTDOWN_GRACE=20)
    with Client(server) as streamed, Client(server) as whole:
        streamed.ask(GENERATE, {"prompt": "[[chunks=20 interval_ms=30]]", "stream": True})
        whole.ask(GENERATE, {"prompt": "slow [[first_delay_ms=500]]"})
        assert streamed.head().status == 200
        stub.wait_for(lambda stub: len(asked(stub)) == 2)
        begin_to_stop(server)
        assert b'"done":true' in events(b"".join(streamed.chunks()))[-1]
        assert whole.answer().json()["response"] == "slow"
        assert streamed.is_closed()
        assert whole.is_closed()
        assert server.stop() == 0  # as soon as they have ended, long before the grace has
    assert_clean(server)
    assert server.log().count("ended=done") == 2


def test_nobody_is_waited_for_when_nothing_runs(make_gateway: MakeGateway) -> None:
    server = make_gateway(SHUTDOWN_GRACE=20)
    assert ask(server, GENERATE, {"prompt": "a"}).status == 200
    with Client(server) as connected, Client(server) as speaking:
        speaking.send(b"GET / HT")
        assert connected.sock.fileno() > 0
        begun = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begun < 10
    assert_clean(server)


def test_a_client_that_does_not_read_delays_the_end_but_does_not_prevent_it(
    stub: StubProcess, make_gateway: MakeGateway
) -> None:
    server = make_gateway(SHUTDOWN_GRACE=0.5)
    with Client(server, buffer=16 * 1024) as client, Client(server) as sending:
        client.ask(GENERATE, {"prompt": "[[endless=1 size=4000]]", "stream": True})
        assert client.head().status == 200
        sending.ask(GENERATE, b'{"prompt":', Content_Length="1000")
        stub.wait_for(lambda stub: asked(stub)[0].chunks > 1000)
        assert server.stop() == 0
    stub.wait_for(lambda stub: not stub.under_way())
    assert_clean(server)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_grace(stub: StubProcess, make_gateway: MakeGateway, number: int) -> None:
    server = make_gateway(SHUTDOWN_GRACE=20)
    with Client(server) as client:
        client.ask(GENERATE, {"prompt": ENDLESS, "stream": True})
        assert client.head().status == 200
        begin_to_stop(server, number)
        wait_until(lambda: refuses(server), 5)
        begin_to_stop(server, number)
        assert error_of(events(b"".join(client.chunks()))[-1])["error"] == "unavailable"
        wait_until(lambda: server.process is not None and server.process.poll() is not None, 10)
    assert server.stop() == 0
    assert_clean(server)


def test_a_third_interrupt_ends_everything(stub: StubProcess, make_gateway: MakeGateway) -> None:
    server = make_gateway(SHUTDOWN_GRACE=20)
    with Client(server, buffer=16 * 1024) as client:
        client.ask(GENERATE, {"prompt": "[[endless=1 size=4000]]", "stream": True})
        assert client.head().status == 200
        stub.wait_for(lambda stub: asked(stub)[0].chunks > 1000)  # it does not read: words would never reach it
        begin_to_stop(server, signal.SIGINT)
        wait_until(lambda: refuses(server), 5)
        begin_to_stop(server, signal.SIGINT)
        stub.wait_for(StubProcess.cancelled)  # the work is over, though the client can't be told
        begun = time.monotonic()
        assert server.stop(signal.SIGINT) == 0
        assert time.monotonic() - begun < 10
    stub.wait_for(lambda stub: not stub.under_way())
    assert_clean(server)


def test_a_server_can_be_started_again_at_once(make_gateway: MakeGateway) -> None:
    first = make_gateway()
    with Client(first) as client:
        client.ask(GENERATE, {"prompt": "a"})
        assert client.answer().status == 200
        assert first.stop() == 0
        second = make_gateway(PORT=first.port)
        assert second.port == first.port
        assert ask(second, GENERATE, {"prompt": "a"}).status == 200
