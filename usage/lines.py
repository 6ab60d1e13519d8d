"""Reads the journal's lines.

Whatever they hold, what comes out fits the tables: no line can block those behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any

import orjson

# How long texts may be; what is longer is cut.
KEY, TEAM, MODEL, ROUTE, WORD, ID, ADDRESS = 32, 100, 200, 100, 20, 64, 64
MOST = 2**53  # more tokens, nanoseconds or seconds than any call can have
LATEST = 32_503_680_000.0  # the year 3000
BEGINNING = b'{"event":'
ADMITS = b'{"event":"admitted",'
LOST = "lost"  # how a call ended whose process died before it did


@dataclass(frozen=True, slots=True)
class Record:
    """A call that is over: `at` in epoch seconds, `*_duration` in Ollama's nanoseconds, other times in seconds."""

    call: str
    at: float
    key: str
    owner: int | None
    team: str
    model: str
    route: str
    dialect: str
    request_id: str
    status: int
    ended: str
    prompt_tokens: int
    completion_tokens: int
    estimated: bool
    load_duration: int | None
    prompt_eval_duration: int | None
    eval_duration: int | None
    wait: float
    first_byte: float | None
    total: float
    streamed: bool
    upstream: str
    client: str

    @property
    def gpu_nanoseconds(self) -> int:
        """Returns how long the call kept the GPU: loading, reading the prompt, writing."""
        return (self.load_duration or 0) + (self.prompt_eval_duration or 0) + (self.eval_duration or 0)


@dataclass(frozen=True, slots=True)
class Admitted:
    """A call that began, and the record that it leaves if its end is never heard of."""

    call: str
    lost: Record


def read(line: bytes) -> Admitted | Record | None:
    """Returns what a line says; None for one that is broken, or about something else.

    A line that a full disk cut short has the next one appended to it: that one is read.
    """
    said = parsed(line)
    if said is None and BEGINNING in line[1:]:
        said = parsed(line[line.rindex(BEGINNING) :])
    if said is None or not text(said, "call", ID):
        return None
    match said.get("event"):
        case "ended":
            return record(said)
        case "admitted":
            estimate = whole(said, "prompt_estimate")
            rest = max(0, whole(said, "reserved") - estimate)
            lost = {**said, "ended": LOST, "prompt_tokens": estimate, "completion_tokens": rest, "estimated": True}
            return Admitted(text(said, "call", ID), record(lost))
    return None


def only_admits(line: bytes) -> bool:
    """Tells, without parsing it, whether a line says nothing but that a call began; half of all do."""
    return line.startswith(ADMITS) and line.find(BEGINNING, 1) < 0


def parsed(line: bytes) -> dict[str, Any] | None:
    """Returns the object that a line holds, None if it holds none."""
    try:
        said = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return said if isinstance(said, dict) else None


def record(said: dict[str, Any]) -> Record:
    """Returns the record of a call from what is said of it."""
    return Record(
        call=text(said, "call", ID),
        at=min(seconds(said, "at") or 0.0, LATEST),
        key=text(said, "key", KEY),
        owner=possible(said, "owner"),
        team=text(said, "team", TEAM),
        model=text(said, "model", MODEL),
        route=text(said, "route", ROUTE),
        dialect=text(said, "dialect", WORD),
        request_id=text(said, "request_id", ID),
        status=min(whole(said, "status"), 999),
        ended=text(said, "ended", WORD),
        prompt_tokens=whole(said, "prompt_tokens"),
        completion_tokens=whole(said, "completion_tokens"),
        estimated=said.get("estimated") is True,
        load_duration=possible(said, "load_duration"),
        prompt_eval_duration=possible(said, "prompt_eval_duration"),
        eval_duration=possible(said, "eval_duration"),
        wait=seconds(said, "wait") or 0.0,
        first_byte=seconds(said, "first_byte"),
        total=seconds(said, "total") or 0.0,
        streamed=said.get("streamed") is True,
        upstream=text(said, "upstream", ID),
        client=text(said, "client", ADDRESS),
    )


def text(said: dict[str, Any], name: str, longest: int) -> str:
    """Returns a text, without the characters that PostgreSQL refuses."""
    value = said.get(name)
    return value.replace("\0", "")[:longest] if isinstance(value, str) else ""


def possible(said: dict[str, Any], name: str) -> int | None:
    """Returns a number that is not negative, None if there is none."""
    value = said.get(name)
    return min(max(value, 0), MOST) if isinstance(value, int) and not isinstance(value, bool) else None


def whole(said: dict[str, Any], name: str) -> int:
    """Returns a number that is not negative, 0 if there is none."""
    return possible(said, name) or 0


def seconds(said: dict[str, Any], name: str) -> float | None:
    """Returns seconds that are not negative, None if there are none."""
    value = said.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return float(min(max(value, 0), MOST))
