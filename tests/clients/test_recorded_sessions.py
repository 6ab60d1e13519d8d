"""Sessions of real agents, recorded by record_session.py and sent again as they were, byte by byte.

What is asserted of a session is what its user would miss: each request is answered, tools and messages reach Ollama as
they were sent, and every answer is metered.
"""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.stub_client import StubProcess
from tests.harness import GatewayServer, wait_until

FOLDER = Path(__file__).parent / "sessions"
SESSIONS = sorted(path.stem for path in FOLDER.glob("*.jsonl"))
PLACEHOLDER = "YOUR_KEY"
SECONDS = 30

# What ends a stream of each dialect; the last bytes of an answer that is complete.
TERMINAL_MARKS = {
    "/v1/responses": b"response.completed",
    "/v1/messages": b"message_stop",
    "/v1/chat/completions": b"data: [DONE]",
    "/api/chat": b'"done":true',
}
# What the gateway takes out of a request on purpose; all else arrives as it was sent.
WEB_SEARCH = "web_search"
ATTRIBUTION = "x-anthropic-billing-header:"


@dataclass(frozen=True)
class Recorded:
    """One request of a session."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    def as_bytes(self, host: str, key: str) -> bytes:
        """The request as it goes over the wire."""
        lines = [f"{self.method} {self.target} HTTP/1.1", f"Host: {host}"]
        for name, value in self.headers:
            length = str(len(self.body)) if name.lower() == "content-length" else value
            lines.append(f"{name}: {length.replace(PLACEHOLDER, key)}")
        return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + self.body


@cache
def session(name: str) -> tuple[Recorded, ...]:
    """The requests of a recorded session, in their order."""
    lines = (FOLDER / f"{name}.jsonl").read_text().splitlines()[1:]
    return tuple(
        Recorded(
            row["method"],
            row["target"],
            [(header, value) for header, value in row["headers"]],
            base64.b64decode(row["base64"]) if "base64" in row else row["body"].encode(),
        )
        for row in map(json.loads, lines)
    )


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


def send(server: GatewayServer, recorded: Recorded) -> Answer:
    """Sends a recorded request, and returns what came until the connection ended."""
    with socket.create_connection((server.host, server.port), timeout=SECONDS) as connection:
        connection.sendall(recorded.as_bytes(f"{server.host}:{server.port}", server.key))
        raw = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(first.split()[1]), headers, body)


def metered(server: GatewayServer) -> int:
    """The requests of the server's key that the account has."""
    answer = httpx.get(f"{server.url}/api/v1/usage", headers=server.headers, timeout=SECONDS)
    return int(answer.json()["total"]["requests"])


@pytest.fixture
def fresh(make_gateway: Callable[..., GatewayServer]) -> GatewayServer:
    """A gateway of its own, so that its account has this session alone."""
    return make_gateway()


@pytest.mark.parametrize("name", SESSIONS)
def test_each_request_of_a_session_is_answered(name: str, gateway: GatewayServer, stub: StubProcess) -> None:
    for recorded in session(name):
        answer = send(gateway, recorded)
        assert answer.status == 200, (recorded.target, answer.body[:500])
        mark = TERMINAL_MARKS.get(recorded.path)
        if mark is not None:
            assert mark in answer.body, (recorded.target, answer.body[-500:])


@pytest.mark.parametrize("name", SESSIONS)
def test_ollama_gets_what_the_client_sent(name: str, gateway: GatewayServer, stub: StubProcess) -> None:
    for recorded in session(name):
        if recorded.path not in TERMINAL_MARKS:
            continue
        answer = send(gateway, recorded)
        sent, arrived = json.loads(recorded.body), stub.requests(recorded.path)[-1].json()
        for field in ("messages", "input", "instructions", "system", "tools"):
            if field in sent:
                assert arrived[field] == kept(sent[field]), field
        changed = answer.headers.get("x-gateway-changed", "")
        for trace in (WEB_SEARCH, ATTRIBUTION.rstrip(":")):
            assert (f"{trace} dropped" in changed) == (trace in str(sent)), changed


def kept(value: Any) -> Any:
    """What of a field goes on to Ollama: all but a search in its cloud, and a line that changes with each turn."""
    if not isinstance(value, list):
        return value
    return [item for item in value if not is_left_out(item)]


def is_left_out(item: dict[str, Any]) -> bool:
    """Tells whether the gateway takes an item out."""
    return str(item.get("type", "")).startswith(WEB_SEARCH) or str(item.get("text", "")).startswith(ATTRIBUTION)


@pytest.mark.parametrize("name", SESSIONS)
def test_the_account_has_each_answer_of_a_session(name: str, fresh: GatewayServer) -> None:
    answers = 0
    for recorded in session(name):
        send(fresh, recorded)
        answers += recorded.path in {*TERMINAL_MARKS, "/api/embed"}
    wait_until(lambda: metered(fresh) == answers, 10, lambda: f"{metered(fresh)} of {answers}")
