"""The two lines that a call leaves in the journal; never a prompt, an answer or a secret."""

from __future__ import annotations

import ipaddress
import time
from functools import lru_cache
from time import monotonic
from typing import TYPE_CHECKING, Any

from proxy.error_reason import error_of, product
from proxy.speed import speeds

if TYPE_CHECKING:
    from proxy.admission import Admission
    from proxy.call import Call

Line = dict[str, Any]
# The line of an answer that came whole is written before its head leaves.
OK = 200
IPV4 = 4


def who(call: Call, admission: Admission) -> Line:
    """Returns what both lines say: whose call it is, and which."""
    principal, facts = call.principal, call.facts
    assert principal is not None  # noqa: S101 -- only a recognised key's call is admitted
    return {
        "call": admission.call_id,
        "at": time.time(),
        "key": principal.key_id,
        "owner": principal.owner_id,
        "team": principal.team,
        "model": facts.canonical if facts else "",
        "route": f"{call.method} {call.route}",
        "dialect": call.dialect,
        "request_id": call.request_id,
        "user_agent": product(call.user_agent),
    }


def admitted_line(call: Call, admission: Admission) -> Line:
    """Returns the line of a call that begins, with all that tells what it can have cost if this process dies."""
    reservation, facts = admission.reservation, call.facts
    return {
        "event": "admitted",
        **who(call, admission),
        "prompt_estimate": facts.prompt_estimate if facts else 0,
        "reserved": reservation.tokens if reservation is not None else None,
        "cap": admission.most,
        "rate": speeds.rate(facts.canonical if facts else ""),
    }


def ended_line(call: Call, admission: Admission) -> Line:
    """Returns the line of a call that has ended."""
    outcome, facts = call.outcome, call.facts
    prompt, written, _, loading, reading, writing, estimated, cached = outcome.usage
    error, reason = error_of(outcome)
    return {
        "event": "ended",
        **who(call, admission),
        "status": outcome.status or OK,
        "ended": outcome.ended,
        "prompt_tokens": prompt or 0,
        "completion_tokens": written or 0,
        "cached_tokens": cached,
        "estimated": estimated,
        "load_duration": loading,
        "prompt_eval_duration": reading,
        "eval_duration": writing,
        "wait": micro(outcome.wait),
        "first_byte": outcome.first_byte,
        "total": micro(monotonic() - call.started),
        "streamed": bool(facts and facts.streamed),
        "upstream": "ollama",
        "client": shown(call.client, admission.addresses),
        "error": error,
        "reason": reason,
        "warning": facts.warning if facts else "",
    }


def refused_line(call: Call, facts: Line, addresses: str) -> Line:
    """Returns what is kept of a call that failed before it was admitted; `facts` are what the log says of it."""
    principal = call.principal
    assert principal is not None  # noqa: S101 -- other calls are not kept
    return {
        **facts,
        "call": "",
        "at": time.time(),
        "key": principal.key_id,
        "owner": principal.owner_id,
        "team": principal.team,
        "model": call.facts.canonical if call.facts else "",
        "wait": call.outcome.wait,
        "client": shown(call.client, addresses),
    }


def micro(seconds: float) -> float:
    """Rounds a duration to microseconds; Python's own `round` takes three times as long."""
    return int(seconds * 1e6 + 0.5) / 1e6


@lru_cache(maxsize=1024)
def shown(address: str, how: str) -> str:
    """Returns a client's address as far as it may be kept: not at all, its network, or all of it."""
    if how == "off":
        return ""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if how == "full":
        return str(parsed)
    return str(ipaddress.ip_network(f"{parsed}/{24 if parsed.version == IPV4 else 48}", strict=False))
