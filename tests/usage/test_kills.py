"""A server that is killed again and again under load: what clients saw finished is recorded, and none of it twice."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Self

import httpx
import pytest

from tests.harness import GatewayServer

CLIENTS = 4
READ = """
from usage.models import UsageDay, UsageRecord
from django.db.models import Sum
for row in UsageRecord.objects.values_list("request_id", "ended", "completion_tokens"):
    print("record", *[value or "-" for value in row])
print("sum", UsageDay.objects.filter(key="").aggregate(all=Sum("requests"))["all"])
"""


class Clients:
    """Clients that ask until they are told to stop; `finished` is what they saw the end of."""

    def __init__(self, server: GatewayServer) -> None:
        self.server = server
        self.finished: list[str] = []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.ask) for _ in range(CLIENTS)]

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def ask(self) -> None:
        body = {"model": "mistral", "messages": [{"role": "user", "content": "Hi"}]}
        with httpx.Client(timeout=10) as client:
            while not self.stopping.is_set():
                try:
                    with client.stream(
                        "POST", f"{self.server.url}/api/chat", headers=self.server.headers, json=body
                    ) as answer:
                        lines = list(answer.iter_lines())
                except httpx.HTTPError:
                    self.stopping.wait(0.02)  # it is dead, or not up yet
                    continue
                if answer.status_code == 200 and '"done":true' in lines[-1].replace(" ", ""):
                    self.finished.append(answer.headers["X-Request-ID"])


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.long)])
def test_what_clients_saw_finished_is_recorded_once(make_gateway: Callable[..., GatewayServer], kills: int) -> None:
    server = make_gateway()
    chance = random.Random(kills)  # noqa: S311 -- it makes no secrets
    with Clients(server) as clients:
        for _ in range(kills):
            seen = len(clients.finished)
            deadline = time.monotonic() + 20
            while len(clients.finished) < seen + 20 and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(chance.random() * 0.3)
            assert server.process is not None
            os.kill(server.process.pid, signal.SIGKILL)
            server.process.wait()
            server.start()
    server.stop()
    said = [line.split() for line in server.manage("shell", "-v", "0", "-c", READ).stdout.splitlines()]
    records = {words[1]: words[2] for words in said if words[0] == "record" and words[1] != "-"}
    times = Counter(words[1] for words in said if words[0] == "record" and words[1] != "-")
    assert len(clients.finished) >= 20 * kills
    assert [request for request in clients.finished if records.get(request) != "done"] == []
    assert [request for request, count in times.items() if count > 1] == []
    # Of a call that is lost, the server did not come to write the request's id.
    lost = sum(words[2] == "lost" for words in said if words[0] == "record")
    assert lost <= CLIENTS * kills
    done = sum(ended == "done" for ended in records.values())
    assert done - len(clients.finished) <= CLIENTS * kills, "more than what was under way when it was killed"
    assert said[-1] == ["sum", str(sum(words[0] == "record" for words in said))]
