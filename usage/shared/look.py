"""A look at the Redis that is to share limits, for the doctor."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from usage.shared.link import Away, Link

OLDEST = 6


class Found(NamedTuple):
    """What is there: `problem` says in words what is wrong, "" for nothing."""

    problem: str = ""
    version: str = ""
    policy: str = ""
    forgets: bool = False


def examine(url: str, seconds: float) -> Found:
    """Asks a Redis who it is, for that long at most a question."""
    return asyncio.run(look(Link(url, seconds, "doctor")))


async def look(link: Link) -> Found:
    """Asks over a link, and closes it."""
    try:
        await link.connect()
        server, memory = fields(await link.call("INFO", "server")), fields(await link.call("INFO", "memory"))
    except Away as away:
        return Found(str(away))
    finally:
        await link.close()
    version = server.get("redis_version", "?")
    if not version.partition(".")[0].isdigit() or int(version.partition(".")[0]) < OLDEST:
        return Found(f"it is version {version}, and {OLDEST} is the oldest that will do")
    policy = memory.get("maxmemory_policy", "noeviction")
    return Found("", version, policy, forgets=policy.startswith("allkeys") and memory.get("maxmemory", "0") != "0")


def fields(said: object) -> dict[str, str]:
    """Returns the fields of an answer to INFO."""
    lines = said.decode(errors="replace").splitlines() if isinstance(said, bytes) else []
    return dict(line.split(":", 1) for line in lines if ":" in line)
