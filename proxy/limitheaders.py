"""What an answer says about the limits of its key, in the three ways that clients read."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from usage.dimensions import BUDGETS, DAY, MONTH, REQUESTS, TOKENS, TOTAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from usage.dimensions import Allowance
    from usage.ledger import Ledger
    from usage.shared.ledger import SharedLedger

# The seconds of each dimension's window, for the IETF's policy.
WINDOWS = {REQUESTS: 60, TOKENS: 60, DAY: 86_400, MONTH: 2_592_000}
# What OpenAI and Anthropic call them; of several that count the same thing, the one with least left is said.
FAMILIES = {REQUESTS: "requests", TOKENS: "tokens", **dict.fromkeys(BUDGETS, "tokens")}

# What each of them calls a family's limit, what is left of it, and when it is whole again.
OPENAI, ANTHROPIC = (
    {family: tuple(text.format(family, what).encode() for what in ("limit", "remaining", "reset")) for family in names}
    for names in [set(FAMILIES.values())]
    for text in ("x-ratelimit-{1}-{0}", "anthropic-ratelimit-{0}-{1}")
)
LEFT = itemgetter(1)

Headers = list[tuple[bytes, bytes]]
Room = tuple["Allowance", int, float]


class Wording(NamedTuple):
    """What all answers to a key say alike.

    Its policy, its state with places for numbers, which of its rooms those are (and whether with a time), and which
    rooms make up each family.
    """

    policy: bytes
    state: bytes
    said: list[tuple[int, bool]]
    families: list[tuple[str, list[int]]]


@lru_cache(maxsize=4096)
def wording(allowances: tuple[Allowance, ...]) -> Wording:
    """Returns the wording for some allowances."""
    policy, state, said = [], [], []
    families: dict[str, list[int]] = {}
    for place, one in enumerate(allowances):
        family = FAMILIES.get(one.dimension)
        if family is None:
            continue
        window = f";w={WINDOWS[one.dimension]}" if one.dimension in WINDOWS else ""
        policy.append(f'"{one.dimension}";q={one.amount}{window}')
        is_timed = one.dimension != TOTAL
        state.append(f'"{one.dimension}";r=%d' + (";t=%d" if is_timed else ""))
        said.append((place, is_timed))
        families.setdefault(family, []).append(place)
    return Wording(", ".join(policy).encode(), ", ".join(state).encode(), said, list(families.items()))


def limit_headers(ledger: Ledger | SharedLedger, allowances: Iterable[Allowance], dialect: str) -> Headers:
    """Returns the headers of a limited key's answer.

    `RateLimit` and `RateLimit-Policy` are the IETF draft's, `x-ratelimit-*` OpenAI's, `anthropic-ratelimit-*`
    Anthropic's.
    """
    rooms = ledger.rooms(allowances)
    words = wording(tuple([one for one, _, _ in rooms]))
    if not words.said:
        return []
    numbers: list[int] = []
    for place, is_timed in words.said:
        _, left, reset = rooms[place]
        numbers.append(left)
        if is_timed:
            numbers.append(math.ceil(reset))
    headers = [(b"RateLimit-Policy", words.policy), (b"RateLimit", words.state % tuple(numbers))]
    for family, places in words.families:
        tightest = min([rooms[place] for place in places], key=LEFT) if len(places) > 1 else rooms[places[0]]
        headers += family_headers(OPENAI[family], tightest, go_duration)
        if dialect == "anthropic":
            headers += family_headers(ANTHROPIC[family], tightest, lambda reset: moment(ledger.clock.time() + reset))
    return headers


def family_headers(names: tuple[bytes, ...], room: Room, written: Callable[[float], str]) -> Headers:
    """Returns what is said of the one room of a family that has least left."""
    one, left, reset = room
    limit, remaining, resets = names
    headers = [(limit, b"%d" % one.amount), (remaining, b"%d" % left)]
    if reset != math.inf:
        headers.append((resets, written(reset).encode()))
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
