"""A client that leaves stops the work, whatever its call was waiting for."""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from benchmarks.stub_client import Recorded, StubProcess
from tests.harness import GatewayServer, wait_until
from tests.proxy.wire import Client, asked, process_of

GENERATE = "/api/v1/generate"


def waits_for_the_first_byte(client: Client, stub: StubProcess) -> None:
    client.ask(GENERATE, {"prompt": "[[hang=1]]", "stream": True})
    stub.wait_for(StubProcess.under_way)


def has_the_head_alone(client: Client, stub: StubProcess) -> None:
    client.ask(GENERATE, {"prompt": "[[header_pause_ms=60000]]", "stream": True})
    assert client.head().status == 200


def is_in_mid_stream(client: Client, stub: StubProcess) -> None:
    client.ask("/api/v1/chat", {"messages": [{"role": "user", "content": "[[chunks=9 hang_after=3]]"}], "stream": True})
    assert client.head().status == 200
    client.events(3)


def is_in_mid_stream_of_completions(client: Client, stub: StubProcess) -> None:
    client.ask("/api/v1/completions", {"prompt": "[[chunks=9 hang_after=2]]", "stream": True})
    assert client.head().status == 200
    client.chunk()


def is_flooded(client: Client, stub: StubProcess) -> None:
    client.ask(GENERATE, {"prompt": "[[endless=1]]", "stream": True})
    assert client.head().status == 200
    for _ in range(100):
        client.chunk()


def stopped_reading(client: Client, stub: StubProcess) -> None:
    client.ask(GENERATE, {"prompt": "[[endless=1 size=4000]]", "stream": True})
    assert client.head().status == 200

    def stands_still() -> bool:
        before = stub.under_way()[0].chunks
        time.sleep(0.1)
        return before == stub.under_way()[0].chunks > 100

    wait_until(stands_still, 10)


def waits_for_a_whole_answer(client: Client, stub: StubProcess) -> None:
    client.ask(GENERATE, {"prompt": "[[hang=1]]"})
    stub.wait_for(StubProcess.under_way)


def waits_for_the_rest_of_a_whole_answer(client: Client, stub: StubProcess) -> None:
    client.ask(GENERATE, {"prompt": "some words [[hang_after=0]]"})
    stub.wait_for(StubProcess.under_way)


def has_sent_a_large_body_behind_its_head(client: Client, stub: StubProcess) -> None:
    """As SDKs do: the server waits for the body when all of it comes, which is where uvicorn stops to read."""
    # To a model whose window may be large enough for it.
    body = json.dumps({"model": "stub-num1000000-trained1000000", "prompt": "[[hang=1]]" + "x " * 50_000}).encode()
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * 2**20)
    client.ask(GENERATE, b"", Content_Length=str(len(body)))
    time.sleep(0.1)
    client.send(body)
    # What the gateway asks about the model's window is under way before.
    stub.wait_for(lambda stub: [request for request in stub.under_way() if request.target == "/api/generate"])


MOMENTS = [
    waits_for_the_first_byte,
    has_the_head_alone,
    is_in_mid_stream,
    is_in_mid_stream_of_completions,
    is_flooded,
    stopped_reading,
    waits_for_a_whole_answer,
    waits_for_the_rest_of_a_whole_answer,
    has_sent_a_large_body_behind_its_head,
]


@contextmanager
def client_of(gateway: GatewayServer) -> Iterator[Client]:
    with Client(gateway, buffer=16 * 1024) as client:
        yield client


def ended(stub: StubProcess) -> list[Recorded]:
    return [request for request in asked(stub) if request.ended]


@pytest.mark.parametrize("reset", [False, True], ids=["politely", "with a reset"])
@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__)
def test_the_upstream_sees_its_connection_close(
    stub: StubProcess, gateway: GatewayServer, moment: Callable[[Client, StubProcess], None], *, reset: bool
) -> None:
    with client_of(gateway) as client:
        moment(client, stub)
        left_at = time.monotonic()
        client.leave(reset=reset)
    (request,) = stub.wait_for(ended)
    assert request.ended == "cancelled"
    assert request.ended_at is not None
    assert request.ended_at - left_at < 1
    assert request.closed_at is not None


def test_a_client_that_leaves_while_it_sends_asks_for_nothing(stub: StubProcess, gateway: GatewayServer) -> None:
    before = gateway.log().count("ended=left")
    with client_of(gateway) as client:
        client.ask(GENERATE, b'{"prompt": "never ', Content_Length="1000")
        client.leave()
    wait_until(lambda: gateway.log().count("ended=left") > before, 5, gateway.log)
    assert asked(stub) == []
    assert "Unforeseen" not in gateway.log()


def test_others_go_on_when_one_leaves(stub: StubProcess, gateway: GatewayServer) -> None:
    with client_of(gateway) as stays, client_of(gateway) as leaves:
        for client in (stays, leaves):
            client.ask(GENERATE, {"prompt": "[[chunks=40 interval_ms=5]]", "stream": True})
            assert client.head().status == 200
            client.chunk()
        leaves.leave()
        assert b'"done":true' in b"".join(stays.chunks())
    assert sorted(request.ended for request in stub.wait_for(both_ended)) == ["cancelled", "done"]


def both_ended(stub: StubProcess) -> list[Recorded]:
    return ended(stub) if len(ended(stub)) == 2 else []


def test_a_client_that_reads_to_the_end_cancels_nothing(stub: StubProcess, gateway: GatewayServer) -> None:
    for stream in (True, False):
        with client_of(gateway) as client:
            client.ask(GENERATE, {"prompt": "a b c", "stream": stream})
            assert client.answer().status == 200
    assert [request.ended for request in asked(stub)] == ["done", "done"]


def leave_often(stub: StubProcess, gateway: GatewayServer, times: int) -> None:
    """Leaves at a random moment of each kind, many times, some of them at once."""
    source = random.Random(times)  # noqa: S311 -- repeatable moments, not secrets
    prompts = ["[[hang=1]]", "[[header_pause_ms=60000]]", "[[chunks=9 hang_after=3]]", "[[endless=1]]", "a b c"]
    for _ in range(times // 10):
        clients = []
        for _ in range(10):
            body: dict[str, Any] = {"prompt": source.choice(prompts), "stream": source.random() < 0.7}
            if "endless" in body["prompt"]:
                body["stream"] = True
            client = Client(gateway, buffer=16 * 1024)
            if source.random() < 0.1:
                client.ask(GENERATE, b"{", Content_Length="1000")
            else:
                client.ask(GENERATE, body)
            clients.append(client)
        time.sleep(source.choice([0, 0.002, 0.01, 0.05]))  # moments of every kind, not one to wait for
        for client in clients:
            client.leave(reset=source.random() < 0.5)


def all_quiet(stub: StubProcess, gateway: GatewayServer) -> Callable[[], bool]:
    """Tells whether nothing is left of earlier calls: no work at the stub, no client's socket, few idle connections."""
    process = process_of(gateway)

    def quiet() -> bool:
        ports = [c.laddr.port for c in process.net_connections("tcp") if c.status != psutil.CONN_LISTEN]
        return not stub.under_way() and gateway.port not in ports and len(ports) <= 10

    return quiet


def test_leaving_a_hundred_times_leaves_nothing_open(stub: StubProcess, gateway: GatewayServer) -> None:
    leave_often(stub, gateway, 100)
    wait_until(all_quiet(stub, gateway), 5)
    assert "Unforeseen" not in gateway.log()


@pytest.mark.long
def test_leaving_thousands_of_times_leaves_no_connection_and_no_thread(stub: StubProcess, make_gateway: Any) -> None:
    gateway = make_gateway()
    process = process_of(gateway)
    leave_often(stub, gateway, 100)
    threads = process.num_threads()
    for _ in range(6):
        leave_often(stub, gateway, 500)
        wait_until(all_quiet(stub, gateway), 5)
        assert process.num_threads() <= threads
        assert process.num_fds() < 50
    assert "Unforeseen" not in gateway.log()
