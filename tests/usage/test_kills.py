"""A server that is ended again and again under load: what clients saw finished is recorded, and none of it twice."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable

import pytest

from tests.harness import GatewayServer
from tests.usage.load import CLIENTS, Clients, assert_recorded

TIMES = [3, pytest.param(20, marks=pytest.mark.long)]


def kill(server: GatewayServer) -> None:
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()


def stop(server: GatewayServer) -> None:
    assert server.stop() == 0


def end_and_start(server: GatewayServer, end: Callable[[GatewayServer], None], times: int) -> Clients:
    chance = random.Random(times)  # noqa: S311 -- it makes no secrets
    with Clients(server) as clients:
        for _ in range(times):
            clients.see(20)
            time.sleep(chance.random() * 0.3)
            end(server)
            server.start()
    return clients


@pytest.mark.parametrize("times", TIMES)
def test_what_clients_saw_finished_before_a_kill_is_recorded_once(
    make_gateway: Callable[..., GatewayServer], times: int
) -> None:
    server = make_gateway()
    clients = end_and_start(server, kill, times)
    server.stop()
    assert len(clients.finished) >= 20 * times
    assert_recorded(server, clients, cut_off=CLIENTS * times)


@pytest.mark.parametrize("times", TIMES)
def test_what_clients_saw_finished_before_a_stop_is_recorded_once_and_nothing_is_lost(
    make_gateway: Callable[..., GatewayServer], times: int
) -> None:
    server = make_gateway(SHUTDOWN_GRACE=0)  # some are cut
    clients = end_and_start(server, stop, times)
    server.stop()
    account = assert_recorded(server, clients, cut_off=0)
    assert {record["ended"] for record in account.records} <= {"done", "cut", "left"}
    assert list(server.folder.glob("journal/*.jsonl")) == []
