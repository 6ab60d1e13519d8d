"""What an answer says about the limits of its key, in the three ways that clients read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from usage.dimensions import BUDGETS, DAY, MONTH, REQUESTS, TOKENS

if TYPE_CHECKING:
    from usage.dimensions import Allowance
    from usage.ledger import Ledger
    from usage.shared.ledger import SharedLedger

# The seconds of each dimension's window, for the IETF's policy.
WINDOWS = {REQUESTS: 60, TOKENS: 60, DAY: 86_400, MONTH: 2_592_000}
# What OpenAI and Anthropic call them; of several that count the same thing, the one with least left is said.
FAMILIES = {REQUESTS: "requests", TOKENS: "tokens", **dict.fromkeys(BUDGETS, "tokens")}

# How each of them calls a family's limit, what is left of it, and when it is whole again.
OPENAI, ANTHROPIC = "x-ratelimit-{what}-{family}", "anthropic-ratelimit-{family}-{what}"

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Names:
    """The headers for one allowance: its limit with its value, and the names of two more.

    Every answer reads them, and a slot is found faster than a named tuple's field.
    """

    limit: tuple[bytes, bytes]
    remaining: bytes
    reset: bytes


@dataclass(frozen=True, slots=True)
class Words:
    """What all answers say alike of an allowance: its part of the policy, and its state with places for numbers."""

    family: str
    policy: str
    state: bytes
    timed: bytes
    openai: Names
    anthropic: Names


class Wording(NamedTuple):
    """What all answers to a key say alike; None stands for allowances of which they say nothing."""

    policy: tuple[bytes, bytes]
    words: list[Words | None]


@lru_cache(maxsize=4096)
def wording(allowances: tuple[Allowance, ...]) -> Wording:
    """Returns the wording for some allowances."""
    words = [words_of(one.dimension, one.amount) for one in allowances]
    policy = ", ".join(one.policy for one in words if one is not None)
    return Wording((b"RateLimit-Policy", policy.encode()), words)


@lru_cache(maxsize=4096)
def words_of(dimension: str, amount: int) -> Words | None:
    """Returns the words for an allowance; many keys have the same."""
    family = FAMILIES.get(dimension)
    if family is None:
        return None
    window = f";w={WINDOWS[dimension]}" if dimension in WINDOWS else ""
    return Words(
        family,
        f'"{dimension}";q={amount}{window}',
        f'"{dimension}";r=%d'.encode(),
        f'"{dimension}";r=%d;t=%d'.encode(),
        names_of(OPENAI, family, amount),
        names_of(ANTHROPIC, family, amount),
    )


def names_of(text: str, family: str, amount: int) -> Names:
    """Returns what an allowance's headers are called."""
    limit, *others = (text.format(family=family, what=what).encode() for what in ("limit", "remaining", "reset"))
    return Names((limit, str(amount).encode()), *others)


def limit_headers(ledger: Ledger | SharedLedger, allowances: tuple[Allowance, ...], dialect: str) -> Headers:
    """Returns the headers of a limited key's answer.

    `RateLimit` and `RateLimit-Policy` are the IETF draft's, `x-ratelimit-*` OpenAI's, `anthropic-ratelimit-*`
    Anthropic's.
    """
    held = ledger.known(allowances)
    policy, every = wording(held)
    states: list[bytes] = []
    tightest: dict[str, tuple[Words, int, float]] = {}
    for words, (left, reset) in zip(every, ledger.rooms(held), strict=True):
        if words is None:
            continue
        states.append(words.state % left if reset == math.inf else words.timed % (left, math.ceil(reset)))
        known = tightest.get(words.family)
        if known is None or left < known[1]:
            tightest[words.family] = words, left, reset
    if not states:
        return []
    headers = [policy, (b"RateLimit", b", ".join(states))]
    for words, left, reset in tightest.values():
        names = words.openai
        headers += (names.limit, (names.remaining, b"%d" % left))
        if reset != math.inf:
            headers.append((names.reset, go_duration(reset)))
        if dialect == "anthropic":
            names = words.anthropic
            headers += (names.limit, (names.remaining, b"%d" % left))
            if reset != math.inf:
                headers.append((names.reset, moment(ledger.clock.time() + reset).encode()))
    return headers


def moment(at: float) -> str:
    """Writes a time (epoch seconds) as Anthropic does, in whole seconds."""
    return datetime.fromtimestamp(math.ceil(at), UTC).isoformat().replace("+00:00", "Z")


def go_duration(seconds: float) -> bytes:
    """Writes seconds as OpenAI does: `6m0s`, `1.5s`, `20ms`."""
    return b"%dms" % math.ceil(seconds * 1000) if seconds < 1 else go_seconds(math.ceil(seconds))


@lru_cache(maxsize=256)
def go_seconds(whole: int) -> bytes:
    """Writes whole seconds; many answers say the same."""
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return ((f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{left}s").encode()
