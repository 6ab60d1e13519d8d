"""Clients that read slowly are waited for, those that stopped reading are not."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.stub_client import StubProcess
from tests.harness import GatewayServer, wait_until
from tests.proxy.wire import Client, asked, process_of

GENERATE = "/api/v1/generate"
MakeGateway = Callable[..., GatewayServer]


def read_slowly(client: Client, size: int, seconds: float) -> bytes:
    """Reads so many bytes in that time, steadily."""
    data = b""
    steps = int(seconds / 0.05)
    while len(data) < size:
        part = client.file.read(min(size // steps, size - len(data)))
        assert part, "the answer was cut off"
        data += part
        time.sleep(0.05)
    return data


def test_a_whole_answer_reaches_a_client_that_reads_slowly(stub: StubProcess, small_gateway: GatewayServer) -> None:
    with Client(small_gateway, buffer=16 * 1024) as client:
        client.ask(GENERATE, {"prompt": "[[line_mb=24]]"})
        head = client.head()
        assert head.status == 200
        size = int(head.headers["content-length"])
        body = read_slowly(client, size, 2.5)  # CLIENT_TIMEOUT is one second
        assert len(body) == size
        assert body.endswith(b"}")
        client.ask(GENERATE, {"prompt": "next"})
        assert client.answer().json()["response"] == "next"


def test_a_client_that_does_not_read_is_dropped(stub: StubProcess, small_gateway: GatewayServer) -> None:
    for body in ({"prompt": "[[endless=1 size=4000]]", "stream": True}, {"prompt": "[[line_mb=24]]"}):
        stub.reset()
        with Client(small_gateway, buffer=16 * 1024) as client:
            client.ask(GENERATE, body, X_Request_ID=f"dropped-{len(body)}")
            assert client.head().status == 200
            stub.wait_for(asked)
            wait_until(lambda: f"request_id=dropped-{len(body)} " in small_gateway.log(), 10)  # noqa: B023 -- at once
        stub.wait_for(lambda stub: not stub.under_way())
    (line,) = [line for line in small_gateway.log().splitlines() if "request_id=dropped-2 " in line]
    assert "ended=cut" in line


def test_slow_readers_hold_up_nobody(stub: StubProcess, gateway: GatewayServer) -> None:
    slow = [Client(gateway, buffer=16 * 1024) for _ in range(20)]
    try:
        for client in slow:
            client.ask(GENERATE, {"prompt": "[[endless=1 size=4000]]", "stream": True})
            assert client.head().status == 200
        with Client(gateway) as quick:
            for number in range(20):
                quick.ask(GENERATE, {"prompt": f"quick {number}", "stream": True})
                assert quick.answer().status == 200
    finally:
        for client in slow:
            client.leave()
    stub.wait_for(lambda stub: not stub.under_way())


def test_waiting_for_a_slow_reader_takes_little_memory(stub: StubProcess, gateway: GatewayServer) -> None:
    process = process_of(gateway)
    before = process.memory_info().rss
    with Client(gateway, buffer=16 * 1024) as client:
        client.ask(GENERATE, {"prompt": "[[endless=1 size=4000]]", "stream": True})
        assert client.head().status == 200
        last = 0

        def stands_still() -> bool:
            nonlocal last
            now, before = asked(stub)[0].chunks, last
            last = now
            time.sleep(0.1)
            return now == before > 100

        wait_until(stands_still, 10)
        assert process.memory_info().rss - before < 4 * 2**20


def test_a_client_leaves_while_the_model_loads(stub: StubProcess, make_gateway: MakeGateway) -> None:
    server = make_gateway(HEARTBEAT=0.1)
    with Client(server) as client:
        client.ask(GENERATE, {"prompt": "[[hang=1]]", "stream": True})
        assert client.head().status == 200
        assert client.events(2) == [b": waiting"] * 2
        left_at = time.monotonic()
    (request,) = stub.wait_for(StubProcess.cancelled)
    assert request.ended_at - left_at < 1
    with Client(server) as client:
        client.ask(GENERATE, {"prompt": "late [[first_delay_ms=300]]", "stream": True})
        assert b'data: {"model":"mistral"' in client.answer().body
    with Client(server) as client:
        client.ask(GENERATE, {"prompt": "late [[first_delay_ms=300 malformed=status]]", "stream": True})
        assert client.answer().body.count(b"event: error") == 1
    assert "never retrieved" not in server.log()
    assert "Unforeseen" not in server.log()
