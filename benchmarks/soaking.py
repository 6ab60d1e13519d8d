"""Mixed traffic for a long time: answers that end well, clients that leave, upstreams that fail, requests refused.

A process of its own, told by JSON lines on its input where to go and with how many connections at once; it says how
often each ending was seen whenever it is asked, and ends when its input does.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
import sys
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import uvloop

from benchmarks.load import say

LEFT_AFTER = 300  # bytes of the answer
PATIENCE_SECONDS = 30


class Soak:
    """The connections of one soak, each sending one kind of request after the other, by chance."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.address = urlsplit(job["url"])
        self.kinds: dict[str, bytes] = {name: base64.b64decode(data) for name, data in job["requests"].items()}
        self.pause: float = job["pause"]
        self.chance = random.Random(7)  # noqa: S311 -- it makes no secrets
        self.seen: Counter[str] = Counter()

    async def go_on(self) -> None:
        """Sends requests for ever, each on a connection of its own."""
        names = list(self.kinds)
        while True:
            name = self.chance.choice(names)
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self.one(name)
            except (OSError, TimeoutError) as error:
                self.seen[f"{name}: {type(error).__name__}"] += 1
            await asyncio.sleep(self.chance.expovariate(1 / self.pause))

    async def one(self, name: str) -> None:
        """Sends one request; reads its answer, or leaves in the middle of it."""
        reader, writer = await asyncio.open_connection(self.address.hostname, self.address.port)
        try:
            writer.write(self.kinds[name])
            data = b""
            while part := await reader.read(65536):
                data += part
                if name == "left" and len(data) > LEFT_AFTER:
                    break
            status = data[9:12].decode("latin-1") or "nothing"
            self.seen[f"{name}: {status}"] += 1
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def work() -> None:
    """Soaks until the input ends."""
    job = json.loads(await asyncio.to_thread(sys.stdin.readline))
    soak = Soak(job)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(soak.go_on()) for _ in range(job["connections"])]
        say("ready")
        while await asyncio.to_thread(sys.stdin.readline):
            say(soak.seen)
        for task in tasks:
            task.cancel()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())
