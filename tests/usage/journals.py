"""Journals as the server writes them, for tests."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

NOON = 1_750_075_200.0  # 2025-06-16 12:00 UTC, a Monday


def admitted(call: str = "a" * 24, **said: Any) -> dict[str, Any]:
    """What a journal says when a call begins."""
    return {
        "event": "admitted",
        "call": call,
        "at": NOON,
        "key": "key1",
        "label": "Ana",
        "owner": None,
        "team": "",
        "model": "mistral",
        "route": "POST /api/chat",
        "dialect": "ollama",
        "reserved": 110,
        "prompt_estimate": 10,
        **said,
    }


def ended(call: str = "a" * 24, **said: Any) -> dict[str, Any]:
    """What a journal says when a call is over."""
    return {
        "event": "ended",
        "call": call,
        "at": NOON,
        "started": NOON - 2,
        "key": "key1",
        "label": "Ana",
        "owner": None,
        "team": "",
        "model": "mistral",
        "asked": "mistral:latest",
        "route": "POST /api/chat",
        "dialect": "ollama",
        "request_id": "r" * 24,
        "status": 200,
        "ended": "done",
        "prompt_tokens": 10,
        "completion_tokens": 20,
        "cached_tokens": None,
        "estimated": False,
        "total_duration": 2_000_000_000,
        "load_duration": 100,
        "prompt_eval_duration": 200,
        "eval_duration": 300,
        "wait": 0.0,
        "first_byte": 0.25,
        "total": 2.0,
        "sent_bytes": 1000,
        "streamed": True,
        "upstream": "main",
        "warning": "",
        "client": "",
        **said,
    }


def written(said: Sequence[dict[str, Any]]) -> bytes:
    """Lines as they lie in a file."""
    return b"".join(orjson.dumps(line) + b"\n" for line in said)


class Writer:
    """A process that writes a journal: it holds its lock until it dies."""

    def __init__(self, folder: Path, name: str = "0123456789abcdef") -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.name, self.number = folder, name, 1
        self.lock: int | None = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT)
        fcntl.flock(self.lock, fcntl.LOCK_EX)

    @property
    def segment(self) -> Path:
        """The segment that is written."""
        return self.folder / f"{self.name}-{self.number:06d}.jsonl"

    def write(self, *said: dict[str, Any]) -> None:
        """Appends lines."""
        self.write_bytes(written(said))

    def write_bytes(self, data: bytes) -> None:
        """Appends whatever this is."""
        with self.segment.open("ab") as file:
            file.write(data)

    def rotate(self, *still_open: dict[str, Any]) -> None:
        """Begins another segment with the calls that are open."""
        self.number += 1
        self.write(*({**call, "again": True} for call in still_open))

    def die(self) -> None:
        """Lets go of the lock, as the end of a process does."""
        if self.lock is not None:
            os.close(self.lock)
        self.lock = None

    def files(self) -> list[str]:
        """What lies in the folder."""
        return sorted(path.name for path in self.folder.iterdir())
