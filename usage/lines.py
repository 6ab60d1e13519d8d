"""Reads the journal's lines.

Whatever they hold, what comes out fits the tables: no line can block those behind it.
"""

from __future__ import annotations

from math import isfinite
from typing import Any, NamedTuple

import orjson

# How long texts may be; what is longer is cut.
KEY, TEAM, MODEL, ROUTE, WORD, ID, ADDRESS = 32, 100, 200, 100, 20, 64, 64
ERROR, REASON, USER_AGENT = 40, 300, 72
NANO = 1_000_000_000
# Ollama's clock and ours may differ by so many seconds of a call; durations beyond that are not believed in sums.
CLOCK_SLACK = 1.0
MOST = 2**53  # more tokens, nanoseconds or seconds than any call can have
LATEST = 32_503_680_000.0  # the year 3000
BEGINNING = b'{"event":'
ADMITS = b'{"event":"admitted",'
# Tokens a second, for calls of servers that did not write down how fast their models are.
UNKNOWN_RATE = 20.0
LOST = "lost"  # how a call ended whose process died before it did
LOST_FIELDS = {
    "ended": LOST,
    "estimated": True,
    "error": "gateway_died",
    "reason": "The gateway's process ended before the call did.",
}


class Record(NamedTuple):
    """A call that is over: `at` in epoch seconds, `*_duration` in Ollama's nanoseconds, other times in seconds."""

    at: float
    call: str
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
    cached_tokens: int | None
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
    error: str = ""
    reason: str = ""
    user_agent: str = ""
    warning: str = ""

    @property
    def gpu_nanoseconds(self) -> int:
        """Returns how long the call kept the GPU: loading, reading the prompt, writing; no longer than it lasted."""
        said = (self.load_duration or 0) + (self.prompt_eval_duration or 0) + (self.eval_duration or 0)
        return min(said, int((self.total + CLOCK_SLACK) * NANO))


class Admitted(NamedTuple):
    """A call that began, and the record that it leaves if its end is never heard of: at most what it had reserved."""

    call: str
    lost: Record
    rate: float  # tokens of output a second
    since: float  # when Ollama was asked, in epoch seconds

    def lost_at(self, moment: float) -> Record:
        """Returns the record that it leaves where its process was last alive at a moment (epoch seconds).

        More than its model writes in that time can't have been written, and no more than was reserved.
        """
        possible = int(self.rate * max(0.0, moment - self.since))
        return self.lost._replace(completion_tokens=min(self.lost.completion_tokens, possible))


def read(line: bytes) -> Admitted | Record | None:
    """Returns what a line says; None for one that is broken, or about something else.

    A line that a full disk cut short has the next one appended to it: that one is read.
    """
    said = parsed(line)
    if said is None and BEGINNING in line[1:]:
        said = parsed(line[line.rindex(BEGINNING) :])
    if said is None or not text(said.get("call"), ID):
        return None
    match said.get("event"):
        case "ended":
            return record(said)
        case "admitted":
            return admitted(said)
    return None


def admitted(said: dict[str, Any]) -> Admitted:
    """Returns what a line says of a call that began."""
    estimate, reserved, cap = (
        whole(said.get("prompt_estimate")),
        possible(said.get("reserved")),
        possible(said.get("cap")),
    )
    # A call that no limit applies to has reserved nothing, and may write what its cap allows.
    rest = MOST if reserved is None else max(0, reserved - estimate)
    most = rest if cap is None else min(rest, cap)
    if said.get("waits") is True:
        most = 0  # for its turn: Ollama was not asked
    lost = {**said, **LOST_FIELDS, "prompt_tokens": estimate, "completion_tokens": most}
    rate = seconds(said.get("rate"))
    found = record(lost)
    since = max(found.at, min(seconds(said.get("asked")) or 0.0, LATEST))
    return Admitted(found.call, found, UNKNOWN_RATE if rate is None else rate, since)


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
    get = said.get
    return Record(
        at=min(seconds(get("at")) or 0.0, LATEST),
        call=text(get("call"), ID),
        key=text(get("key"), KEY),
        owner=possible(get("owner")),
        team=text(get("team"), TEAM),
        model=text(get("model"), MODEL),
        route=text(get("route"), ROUTE),
        dialect=text(get("dialect"), WORD),
        request_id=text(get("request_id"), ID),
        status=min(whole(get("status")), 999),
        ended=text(get("ended"), WORD),
        prompt_tokens=whole(get("prompt_tokens")),
        completion_tokens=whole(get("completion_tokens")),
        cached_tokens=possible(get("cached_tokens")),
        estimated=get("estimated") is True,
        load_duration=possible(get("load_duration")),
        prompt_eval_duration=possible(get("prompt_eval_duration")),
        eval_duration=possible(get("eval_duration")),
        wait=seconds(get("wait")) or 0.0,
        first_byte=seconds(get("first_byte")),
        total=seconds(get("total")) or 0.0,
        streamed=get("streamed") is True,
        upstream=text(get("upstream"), ID),
        client=text(get("client"), ADDRESS),
        error=text(get("error"), ERROR),
        reason=text(get("reason"), REASON),
        user_agent=text(get("user_agent"), USER_AGENT),
        warning=text(get("warning"), WORD),
    )


# What our own journal wrote is fine as it is, and is looked at first: these run two dozen times a call.


def text(value: object, longest: int) -> str:
    """Returns a text, without the characters that PostgreSQL refuses; an empty one for anything else."""
    if not isinstance(value, str):
        return ""
    return value if len(value) <= longest and "\0" not in value else value.replace("\0", "")[:longest]


def possible(value: object) -> int | None:
    """Returns a number that is not negative, None for anything else."""
    if type(value) is int and 0 <= value <= MOST:
        return value
    return min(max(value, 0), MOST) if isinstance(value, int) and not isinstance(value, bool) else None


def whole(value: object) -> int:
    """Returns a number that is not negative, 0 for anything else."""
    return possible(value) or 0


def seconds(value: object) -> float | None:
    """Returns seconds that are not negative, None for anything else."""
    if type(value) is float and 0 <= value <= MOST:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return float(min(max(value, 0), MOST))
