"""What is left of limits, as whoever keeps the ledger says it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple


class Room(NamedTuple):
    """What is left of one limit, whose it is (`key:…`, `owner:…`, `team:…`), and when it is whole again.

    `resets` is in seconds from now, None for a limit that never is.
    """

    subject: str
    dimension: str
    limit: int
    left: int
    resets: float | None


# Takes a key's id, its owner's id and its team; is called on the event loop, and raises Unavailable.
Rooms = Callable[[str, int | None, str], Awaitable[Iterable[Room]]]


async def nothing(_key: str, _owner: int | None, _team: str) -> Iterable[Room]:
    """Returns no rooms: nothing is limited where no server runs."""
    return ()


class Limits:
    """Where the limits of the running server are asked for; it sets `rooms` when it has a ledger."""

    def __init__(self) -> None:
        self.rooms: Rooms = nothing


limits = Limits()
