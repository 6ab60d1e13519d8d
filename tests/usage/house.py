"""A gateway with keys of every kind, many clients at once, and all that it says of them afterwards."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import httpx

from tests.harness import GatewayServer, wait_until

RESET = struct.pack("ii", 1, 0)
SECONDS = 60.0
READ = """
import json
from django.db.models import Sum
from usage.models import UsageDay, UsageRecord
# What was refused before it was admitted is in no sum, and cost nothing.
refused = UsageRecord.objects.filter(call="")
assert not refused.exclude(prompt_tokens=0, completion_tokens=0, error__gt="").exists()
print("records", json.dumps(list(UsageRecord.objects.exclude(call="").values())  , default=str))
found = UsageDay.objects.filter(key="").aggregate(requests=Sum("requests"), prompt_tokens=Sum("prompt_tokens"),
    completion_tokens=Sum("completion_tokens"), estimated_tokens=Sum("estimated_tokens"))
print("sums", json.dumps({name: value or 0 for name, value in found.items()}))
"""


class Key(NamedTuple):
    """A key's id and its secret."""

    id: str
    secret: str


class Account(NamedTuple):
    """What the database has: each call's record, and everybody's sums of all days."""

    records: list[dict[str, Any]]
    sums: dict[str, int]


class Answered(NamedTuple):
    """An answer that came whole."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class House:
    """A gateway and a key to it that may issue others."""

    server: GatewayServer
    manager: str

    @classmethod
    def of(cls, server: GatewayServer) -> House:
        """Makes the key that issues the others."""
        options = ("--scopes", "inference,keys,metrics", "--quiet")
        return cls(server, server.manage("createapikey", "manager", *options).stdout.strip())

    @property
    def as_manager(self) -> dict[str, str]:
        """The headers of the key that may do all this."""
        return {"X-API-Key": self.manager}

    def issue(self, **limits: int) -> Key:
        """Issues a key with limits of its own; waits until the gateway knows it."""
        body = {"label": "one of many", "limits": limits}
        url = f"{self.server.url}/api/v1/keys"
        wait_until(lambda: httpx.get(url, headers=self.as_manager).status_code == 200, 10)
        answer = httpx.post(url, headers=self.as_manager, json=body, timeout=30)
        assert answer.status_code == 201, answer.text
        key = Key(answer.json()["id"], answer.json()["key"])
        wait_until(lambda: self.limits(key) is not None, 10)
        return key

    async def revoke(self, key: Key) -> None:
        """Revokes a key."""
        async with httpx.AsyncClient(headers=self.as_manager, timeout=30) as client:
            answer = await client.delete(f"{self.server.url}/api/v1/keys/{key.id}")
        assert answer.status_code in (200, 204), answer.text

    def limits(self, key: Key) -> dict[str, int] | None:
        """Returns what is left of a key's limits, as it is told itself; None where it is not known."""
        answer = httpx.get(f"{self.server.url}/api/v1/usage", headers={"X-API-Key": key.secret}, timeout=30)
        if answer.status_code != 200:
            return None
        return {one["dimension"]: one["left"] for one in answer.json()["limits"]}

    def metric(self, name: str) -> float:
        """Returns one number of /metrics, or the sum of those with this beginning."""
        text = httpx.get(f"{self.server.url}/metrics", headers=self.as_manager, timeout=30).text
        found = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(f"ollama_gateway_{name}")]
        return sum(map(float, found))

    def is_idle(self) -> bool:
        """Tells whether no call runs or waits, but the one that asks, and all lines are in the database."""
        return self.metric("in_flight") + self.metric("waiting") + self.metric("journal_lines") == 0

    def account(self) -> Account:
        """Returns what the database has."""
        said = dict(
            line.split(" ", 1) for line in self.server.manage("shell", "-v", "0", "-c", READ).stdout.splitlines()
        )
        return Account(json.loads(said["records"]), json.loads(said["sums"]))


class Wire:
    """One connection of a client that says what it wants and leaves when it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        """Sends bytes."""
        self.writer.write(data)

    def leave(self, *, reset: bool = False) -> None:
        """Goes away, politely or with a reset."""
        if reset:
            self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.writer.transport.abort()
        self.writer.close()

    async def head(self) -> Answered:
        """Reads the head of the answer."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), SECONDS)).decode("latin-1")
        first, *lines = head.rstrip().split("\r\n")
        fields = (line.partition(":") for line in lines)
        return Answered(int(first.split()[1]), {name.lower(): value.strip() for name, _, value in fields}, b"")

    async def answer(self, *, most: int | None = None) -> Answered:
        """Reads the whole answer, or so many chunks of it; raises IncompleteReadError where it is cut off."""
        head = await self.head()
        if head.headers.get("transfer-encoding") != "chunked":
            size = int(head.headers["content-length"])
            return head._replace(body=await asyncio.wait_for(self.reader.readexactly(size), SECONDS))
        return head._replace(body=await self.chunks(most))

    async def chunks(self, most: int | None = None) -> bytes:
        """Reads so many chunks, or all there are; raises IncompleteReadError where they are cut off."""
        body = b""
        while most is None or most > 0:
            size = int(await asyncio.wait_for(self.reader.readuntil(b"\r\n"), SECONDS), 16)
            body += (await asyncio.wait_for(self.reader.readexactly(size + 2), SECONDS))[:-2]
            most = None if most is None else most - 1
            if not size:
                break
        return body


@asynccontextmanager
async def wire(server: GatewayServer) -> AsyncIterator[Wire]:
    """Connects, and leaves in the end."""
    found = Wire(*await asyncio.open_connection(server.host, server.port, limit=2**22))
    try:
        yield found
    finally:
        found.leave()


def request(path: str, body: object, secret: str, request_id: str = "", length: int | None = None) -> bytes:
    """Returns a request's bytes; `length` is what it claims to have, if that is not true."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = f"X-Request-ID: {request_id}\r\n" if request_id else ""
    fields = f"Host: 127.0.0.1\r\nX-API-Key: {secret}\r\nContent-Length: {length or len(data)}\r\n{named}"
    return f"POST {path} HTTP/1.1\r\n{fields}\r\n".encode() + data


async def ask(server: GatewayServer, path: str, body: object, secret: str, request_id: str = "") -> Answered:
    """Asks on a connection of its own and reads the whole answer."""
    async with wire(server) as found:
        found.send(request(path, body, secret, request_id))
        return await found.answer()
