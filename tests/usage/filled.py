"""Calls that a server has recorded, for tests through the front door."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from tests.harness import GatewayServer
from tests.usage.journals import ended

STORE = """
import json, sys
from usage.applying import store
from usage.lines import read
store([read(line.encode()) for line in json.loads({lines!r})])
"""
ISSUE = """
from apikeys.models import Key
key, secret = Key.objects.issue(label={label!r}, scopes={scopes!r})
print("issued", key.key_id, secret)
"""
DAY = datetime(2026, 3, 15, 12, tzinfo=UTC).timestamp()


def store(server: GatewayServer, *said: dict[str, Any]) -> None:
    """Records calls, each `ended` with some of its fields."""
    lines = [json.dumps(ended(f"{number:024x}", **{"at": DAY, **call})) for number, call in enumerate(said)]
    server.manage("shell", "-c", STORE.format(lines=json.dumps(lines)))


def issue(server: GatewayServer, label: str, scopes: str = "inference") -> tuple[str, str]:
    """Issues a key; returns its id and its secret."""
    said = server.manage("shell", "-c", ISSUE.format(label=label, scopes=scopes)).stdout
    _, key_id, secret = next(line for line in said.splitlines() if line.startswith("issued ")).split()
    return key_id, secret
