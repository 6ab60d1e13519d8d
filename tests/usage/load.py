"""Clients that ask and ask, and what the account must say of them afterwards."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from typing import NamedTuple, Self

import httpx

from tests.harness import GatewayServer, wait_until
from tests.usage.house import Account, House

CLIENTS = 4


class Counts(NamedTuple):
    """The tokens that an answer said it cost."""

    prompt: int
    completion: int


class Clients:
    """Clients that ask until they are told to stop; `finished` is what they saw the end of, by its request."""

    def __init__(self, server: GatewayServer) -> None:
        self.server = server
        self.finished: dict[str, Counts] = {}
        self.statuses: Counter[int] = Counter()
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.ask, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def ask(self, seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 -- it makes no secrets
        with httpx.Client(timeout=10) as client:
            while not self.stopping.is_set():
                text = f"{'word ' * chance.randint(1, 9)}[[chunks={chance.randint(1, 20)} interval_ms=1]]"
                body = {"model": "mistral", "messages": [{"role": "user", "content": text}]}
                try:
                    with client.stream(
                        "POST", f"{self.server.url}/api/chat", headers=self.server.headers, json=body
                    ) as answer:
                        lines = list(answer.iter_lines())
                except httpx.HTTPError:
                    self.stopping.wait(0.02)  # it is dead, or not up yet
                    continue
                self.statuses[answer.status_code] += 1
                last = json.loads(lines[-1])
                if answer.status_code == 200 and last.get("done"):
                    counts = Counts(last["prompt_eval_count"], last["eval_count"])
                    self.finished[answer.headers["X-Request-ID"]] = counts
                else:
                    self.stopping.wait(0.02)

    def see(self, more: int, seconds: float = 30) -> None:
        """Waits until they have seen the end of so many more calls."""
        wanted = len(self.finished) + more
        wait_until(
            lambda: len(self.finished) >= wanted, seconds, lambda: f"{self.statuses}\n{self.server.log()[-3000:]}"
        )

    def go_on_for(self, seconds: float) -> int:
        """Lets them go on; returns how many calls came to their end meanwhile."""
        before = len(self.finished)
        time.sleep(seconds)
        return len(self.finished) - before


def assert_recorded(server: GatewayServer, clients: Clients, *, cut_off: int = 0) -> Account:
    """Insists that what clients saw finished is recorded, once and at what it cost, and hardly anything besides.

    `cut_off` is how many calls were under way when their server ended.
    """
    account = House(server, "").account()
    records = {record["request_id"]: record for record in account.records if record["request_id"]}
    times = Counter(record["call"] for record in account.records)
    assert [call for call, count in times.items() if count > 1] == []
    found = {
        request_id: Counts(record["prompt_tokens"], record["completion_tokens"])
        for request_id, record in records.items()
        if record["ended"] == "done" and not record["estimated"]
    }
    assert {request: found.get(request) for request in clients.finished} == clients.finished
    assert len(found) - len(clients.finished) <= cut_off + CLIENTS
    # Of a call that is lost, the server did not come to write the request's id.
    assert sum(record["ended"] == "lost" for record in account.records) <= cut_off
    assert account.sums["requests"] == len(account.records)
    for name in ("prompt_tokens", "completion_tokens"):
        assert account.sums[name] == sum(record[name] for record in account.records)
    return account
