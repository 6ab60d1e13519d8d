"""What an answer says about the limits of its key, in the three ways that clients read."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from usage.dimensions import BUDGETS, DAY, MONTH, REQUESTS, TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from usage.ledger import Allowance, Ledger
    from usage.shared.ledger import SharedLedger

# The seconds of each dimension's window, for the IETF's policy.
WINDOWS = {REQUESTS: 60, TOKENS: 60, DAY: 86_400, MONTH: 2_592_000}
# What OpenAI and Anthropic call them; of several that count the same thing, the one with least left is said.
FAMILIES = {REQUESTS: "requests", TOKENS: "tokens", **dict.fromkeys(BUDGETS, "tokens")}


def limit_headers(ledger: Ledger | SharedLedger, allowances: Iterable[Allowance], dialect: str) -> dict[str, str]:
    """Returns the headers of a limited key's answer.

    `RateLimit` and `RateLimit-Policy` are the IETF draft's, `x-ratelimit-*` OpenAI's, `anthropic-ratelimit-*`
    Anthropic's.
    """
    said, states = [], []
    tightest: dict[str, tuple[Allowance, int, float]] = {}
    for room in ledger.rooms(allowances):
        one, left, reset = room
        family = FAMILIES.get(one.dimension)
        if family is None:
            continue
        said.append(one)
        states.append(f'"{one.dimension}";r={left}' + (f";t={math.ceil(reset)}" if reset != math.inf else ""))
        if family not in tightest or left < tightest[family][1]:
            tightest[family] = room
    if not said:
        return {}
    headers = {"RateLimit-Policy": policy(tuple(said)), "RateLimit": ", ".join(states)}
    for family, (one, left, reset) in tightest.items():
        headers[f"x-ratelimit-limit-{family}"] = str(one.amount)
        headers[f"x-ratelimit-remaining-{family}"] = str(left)
        if reset != math.inf:
            headers[f"x-ratelimit-reset-{family}"] = go_duration(reset)
        if dialect == "anthropic":
            prefix = f"anthropic-ratelimit-{family}"
            headers[f"{prefix}-limit"] = str(one.amount)
            headers[f"{prefix}-remaining"] = str(left)
            if reset != math.inf:
                when = datetime.fromtimestamp(math.ceil(ledger.clock.time() + reset), UTC)
                headers[f"{prefix}-reset"] = when.isoformat().replace("+00:00", "Z")
    return headers


@lru_cache(maxsize=1024)
def policy(allowances: tuple[Allowance, ...]) -> str:
    """Writes what the limits are; it is the same for each answer to a key."""
    return ", ".join(
        f'"{one.dimension}";q={one.amount}' + (f";w={WINDOWS[one.dimension]}" if one.dimension in WINDOWS else "")
        for one in allowances
    )


def go_duration(seconds: float) -> str:
    """Writes seconds as OpenAI does: `6m0s`, `1.5s`, `20ms`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    whole = math.ceil(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{left}s"
