"""What an answer says about the limits of its key, in the three ways that clients read."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from usage.dimensions import BUDGETS, DAY, MONTH, REQUESTS, TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from usage.ledger import Allowance, Ledger
    from usage.shared.ledger import SharedLedger

# The seconds of each dimension's window, for the IETF's policy.
WINDOWS = {REQUESTS: 60, TOKENS: 60, DAY: 86_400, MONTH: 2_592_000}
# What OpenAI and Anthropic call them; of several that count the same thing, the one with least left is said.
FAMILIES = {REQUESTS: "requests", TOKENS: "tokens", **dict.fromkeys(BUDGETS, "tokens")}

Headers = list[tuple[bytes, bytes]]


class Words(NamedTuple):
    """What every answer says of an allowance alike."""

    family: str
    name: bytes
    policy: bytes
    amount: bytes


@lru_cache(maxsize=4096)
def words_of(one: Allowance) -> Words | None:
    """Returns the words for an allowance, None for one of which nothing is said."""
    family = FAMILIES.get(one.dimension)
    if family is None:
        return None
    policy = f'"{one.dimension}";q={one.amount}'
    if one.dimension in WINDOWS:
        policy += f";w={WINDOWS[one.dimension]}"
    return Words(family, f'"{one.dimension}"'.encode(), policy.encode(), str(one.amount).encode())


def limit_headers(ledger: Ledger | SharedLedger, allowances: Iterable[Allowance], dialect: str) -> Headers:
    """Returns the headers of a limited key's answer.

    `RateLimit` and `RateLimit-Policy` are the IETF draft's, `x-ratelimit-*` OpenAI's, `anthropic-ratelimit-*`
    Anthropic's.
    """
    policies, states = [], []
    tightest: dict[str, tuple[Words, int, float]] = {}
    for one, left, reset in ledger.rooms(allowances):
        words = words_of(one)
        if words is None:
            continue
        policies.append(words.policy)
        state = b"%b;r=%d" % (words.name, left)
        states.append(state if reset == math.inf else b"%b;t=%d" % (state, math.ceil(reset)))
        known = tightest.get(words.family)
        if known is None or left < known[1]:
            tightest[words.family] = words, left, reset
    if not states:
        return []
    headers = [(b"RateLimit-Policy", b", ".join(policies)), (b"RateLimit", b", ".join(states))]
    for family, (words, left, reset) in tightest.items():
        limit, remaining, resets = OPENAI[family]
        headers += ((limit, words.amount), (remaining, b"%d" % left))
        if reset != math.inf:
            headers.append((resets, go_duration(reset).encode()))
        if dialect == "anthropic":
            limit, remaining, resets = ANTHROPIC[family]
            headers += ((limit, words.amount), (remaining, b"%d" % left))
            if reset != math.inf:
                when = datetime.fromtimestamp(math.ceil(ledger.clock.time() + reset), UTC)
                headers.append((resets, when.isoformat().replace("+00:00", "Z").encode()))
    return headers


OPENAI = {
    family: tuple(f"x-ratelimit-{what}-{family}".encode() for what in ("limit", "remaining", "reset"))
    for family in FAMILIES.values()
}
ANTHROPIC = {
    family: tuple(f"anthropic-ratelimit-{family}-{what}".encode() for what in ("limit", "remaining", "reset"))
    for family in FAMILIES.values()
}


def go_duration(seconds: float) -> str:
    """Writes seconds as OpenAI does: `6m0s`, `1.5s`, `20ms`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    whole = math.ceil(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{left}s"
