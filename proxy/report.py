"""The log line of a finished call: who, what, how it went and what it cost; never a prompt, an answer or a secret."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from functools import lru_cache
from time import monotonic, time
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from gateway.rest import log_failure
from proxy.error_reason import error_of, product
from proxy.lines import micro, refused_line
from usage.metrics import metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.call import Call

log = logging.getLogger("gateway.calls")
# Neither is written anywhere, and finding them out for each line costs more than the line itself.
for what in ("logThreads", "logProcesses", "logMultiprocessing", "logAsyncioTasks"):
    setattr(logging, what, False)
logging._srcfile = None  # noqa: SLF001 -- documented by logging's own how-to

# How long a line may wait for others, in seconds.
MOMENT = 0.02
# Ollama's own names are shorter; a client's may be anything.
LONGEST_NAME = 200
# The call itself is no trouble of the gateway's, however it went.
LEVEL = "info"
# What a person's line leaves out: it begins with the first two, and the rest can be looked up.
LEFT_OUT = frozenset(
    {
        *("level", "status", "route", "dialect", "canonical", "received_bytes", "sent_bytes"),
        *("ollama_total", "ollama_load", "ollama_prompt", "ollama_answer"),
    }
)


class Over(NamedTuple):
    """A call that is over, and when that was: since the epoch, and on the monotonic clock."""

    call: Call
    at: float
    ended: float


class Reporter:
    """Counts calls and writes their lines: JSON for machines, or a line for a person's terminal.

    Those of the same moment are seen to together: one by one, between everything else, they cost twice as much.
    """

    def __init__(
        self,
        *,
        as_json: bool,
        addresses: bool,
        keep: Callable[[dict[str, Any]], None] | None = None,
        record_addresses: str = "off",
    ) -> None:
        self.line = json_line if as_json else readable_line
        self.addresses = addresses
        self.keep = keep  # takes what the record of a call says that failed before it was admitted
        self.record_addresses = record_addresses
        self.waiting: list[Over] = []

    def __call__(self, call: Call) -> None:
        """Reports a call that is over, in a moment."""
        self.waiting.append(Over(call, time(), monotonic()))
        if len(self.waiting) == 1:
            asyncio.get_running_loop().call_later(MOMENT, self.flush)

    def flush(self) -> None:
        """Counts those that wait, and writes their lines."""
        waiting, self.waiting = self.waiting, []
        lines = []
        for over in waiting:
            try:
                lines.append(self.seen(over))
            except Exception as error:  # noqa: BLE001 -- one call that can't be reported must not hide the others
                log_failure(error)
        if lines:
            log.info("\n".join(lines))

    def seen(self, over: Over) -> str:
        """Counts a call; returns its line."""
        facts = facts_of(*over)
        metrics.count(facts)
        call = over.call
        if self.keep is not None and call.principal is not None and call.admission is None and facts["error"]:
            self.keep(refused_line(call, facts, self.record_addresses))
        if self.addresses:
            facts["client"] = over.call.client
        return self.line(facts)


def facts_of(call: Call, at: float, ended: float) -> dict[str, Any]:
    """Returns what is said of a call that was over then; times are in seconds."""
    outcome, principal, facts = call.outcome, call.principal, call.facts
    prompt, written, total, loading, reading, writing, estimated, cached = outcome.usage
    error, reason = error_of(outcome)
    return {
        "time": stamp(at),
        "level": LEVEL,
        "request_id": call.request_id,
        "key": principal.key_id if principal else None,
        "label": principal.label if principal else None,
        "route": f"{call.method} {call.route or '-'}",
        "dialect": call.dialect or None,
        "model": facts.model[:LONGEST_NAME] if facts else None,
        "canonical": facts.canonical[:LONGEST_NAME] if facts else None,
        "status": outcome.status,
        "warning": (facts.warning if facts else "") or None,
        "ended": outcome.ended,
        "error": error or None,
        "reason": reason or None,
        "user_agent": product(call.user_agent) or None,
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "cached_tokens": cached,
        "estimated": estimated or None,
        "received_bytes": outcome.received_bytes,
        "sent_bytes": outcome.sent_bytes,
        "first_byte": micro(outcome.first_byte) if outcome.first_byte is not None else None,
        "total": micro(ended - call.started),
        "ollama_total": seconds(total),
        "ollama_load": seconds(loading),
        "ollama_prompt": seconds(reading),
        "ollama_answer": seconds(writing),
    }


def stamp(now: float) -> str:
    """Writes a time (epoch seconds) with its milliseconds, in UTC."""
    whole, rest = divmod(now, 1)
    return f"{date_and_time(whole)}.{int(rest * 1000):03d}+00:00"


@lru_cache(maxsize=2)
def date_and_time(whole: float) -> str:
    """Writes a whole second of the epoch in UTC; many calls end within one."""
    return datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def seconds(nanoseconds: int | None) -> float | None:
    """Returns one of Ollama's durations in seconds, to the microsecond."""
    return None if nanoseconds is None else (nanoseconds + 500) // 1000 / 1e6


def json_line(facts: dict[str, Any]) -> str:
    """Writes the facts as one line of JSON."""
    return orjson.dumps(facts).decode()


def readable_line(facts: dict[str, Any]) -> str:
    """Writes the facts for a person, leaving out what is not known."""
    known = {name: value for name, value in facts.items() if value is not None and value != ""}
    clock = known.pop("time")[11:23]
    words = [f"{name}={quoted(value)}" for name, value in known.items() if name not in LEFT_OUT]
    route = " ".join(quoted(word) for word in facts["route"].split(" ", 1))
    return f"{clock} {facts['status']} {route} {' '.join(words)}"


def quoted(value: object) -> str:
    """Writes one value so that no client can forge a line with it."""
    text = str(value)
    return text if text.isascii() and text.isprintable() and " " not in text else ascii(text)
