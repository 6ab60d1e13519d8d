"""What an answer says about the limits of its key, in the three ways that clients read."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from usage.dimensions import BUDGETS, DAY, MONTH, REQUESTS, TOKENS, TOTAL

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
LEFT = itemgetter(0)

Headers = list[tuple[bytes, bytes]]


class Names(NamedTuple):
    """The headers for one allowance: its limit with its value, and the names of two more."""

    limit: tuple[bytes, bytes]
    remaining: bytes
    reset: bytes


class Wording(NamedTuple):
    """What all answers to a key say alike.

    Its policy; its state with places for numbers; which of its allowances those are, and whether with a time; which of
    them make up each family; and the headers of each.
    """

    policy: tuple[bytes, bytes]
    state: bytes
    said: list[tuple[int, bool]]
    families: list[list[int]]
    openai: dict[int, Names]
    anthropic: dict[int, Names]


@lru_cache(maxsize=4096)
def wording(allowances: tuple[Allowance, ...]) -> Wording:
    """Returns the wording for some allowances."""
    policy, state = [], []
    words = Wording((b"", b""), b"", [], [], {}, {})
    families: dict[str, list[int]] = {}
    for place, one in enumerate(allowances):
        family = FAMILIES.get(one.dimension)
        if family is None:
            continue
        window = f";w={WINDOWS[one.dimension]}" if one.dimension in WINDOWS else ""
        policy.append(f'"{one.dimension}";q={one.amount}{window}')
        is_timed = one.dimension != TOTAL
        state.append(f'"{one.dimension}";r=%d' + (";t=%d" if is_timed else ""))
        words.said.append((place, is_timed))
        words.openai[place] = names(OPENAI, family, one)
        words.anthropic[place] = names(ANTHROPIC, family, one)
        families.setdefault(family, []).append(place)
    return words._replace(
        policy=(b"RateLimit-Policy", ", ".join(policy).encode()),
        state=", ".join(state).encode(),
        families=list(families.values()),
    )


def names(text: str, family: str, one: Allowance) -> Names:
    """Returns what an allowance's headers are called."""
    limit, *others = (text.format(family=family, what=what).encode() for what in ("limit", "remaining", "reset"))
    return Names((limit, str(one.amount).encode()), *others)


def limit_headers(ledger: Ledger | SharedLedger, allowances: tuple[Allowance, ...], dialect: str) -> Headers:
    """Returns the headers of a limited key's answer.

    `RateLimit` and `RateLimit-Policy` are the IETF draft's, `x-ratelimit-*` OpenAI's, `anthropic-ratelimit-*`
    Anthropic's.
    """
    held = ledger.known(allowances)
    words = wording(held)
    if not words.said:
        return []
    rooms = ledger.rooms(held)
    numbers: list[int] = []
    for place, is_timed in words.said:
        left, reset = rooms[place]
        numbers.append(left)
        if is_timed:
            numbers.append(math.ceil(reset))
    headers = [words.policy, (b"RateLimit", words.state % tuple(numbers))]
    lefts = list(map(LEFT, rooms))
    for family in words.families:
        place = min(family, key=lefts.__getitem__) if len(family) > 1 else family[0]
        left, reset = rooms[place]
        said = words.openai[place]
        headers += (said.limit, (said.remaining, b"%d" % left))
        if reset != math.inf:
            headers.append((said.reset, go_duration(reset).encode()))
        if dialect == "anthropic":
            said = words.anthropic[place]
            headers += (said.limit, (said.remaining, b"%d" % left))
            if reset != math.inf:
                headers.append((said.reset, moment(ledger.clock.time() + reset).encode()))
    return headers


def moment(at: float) -> str:
    """Writes a time (epoch seconds) as Anthropic does, in whole seconds."""
    return datetime.fromtimestamp(math.ceil(at), UTC).isoformat().replace("+00:00", "Z")


def go_duration(seconds: float) -> str:
    """Writes seconds as OpenAI does: `6m0s`, `1.5s`, `20ms`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    whole = math.ceil(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{left}s"
