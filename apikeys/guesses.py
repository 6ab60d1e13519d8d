"""Invalid keys by the address they came from: counted, and slowed down.

Nobody guesses 256 bits; this keeps the tries from costing much, and shows that somebody tries.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict
from functools import lru_cache
from time import monotonic
from typing import TYPE_CHECKING

from django.conf import settings

from apikeys.refusals import TooManyGuesses

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW = 60.0
# The table holds so many addresses; the one that has been silent for longest makes room.
MOST_ADDRESSES = 10_000
# An IPv6 client has a whole network of this length to itself.
IPV6_PREFIX = 64


@lru_cache(maxsize=1024)
def origin(address: str) -> str:
    """Returns what stands for a client: its IPv4 address, or its IPv6 network."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed), IPV6_PREFIX), strict=False))
    return str(parsed)


class Guesses:
    """The latest invalid keys of each address, and how many there were since the last write."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._times: OrderedDict[str, list[float]] = OrderedDict()
        self._uncounted: dict[str, int] = {}
        self._lock = threading.Lock()

    def count(self, address: str) -> None:
        """Counts one; raises TooManyGuesses if that is too many."""
        who, now = origin(address), self._clock()
        with self._lock:
            times = self._times.setdefault(who, [])
            self._times.move_to_end(who)
            if len(self._times) > MOST_ADDRESSES:
                self._times.popitem(last=False)
            if who in self._uncounted or len(self._uncounted) < MOST_ADDRESSES:
                self._uncounted[who] = self._uncounted.get(who, 0) + 1
            times[:] = [moment for moment in times if moment > now - WINDOW]
            if len(times) >= settings.INVALID_KEYS_PER_MINUTE:
                raise TooManyGuesses(max(1, round(times[0] + WINDOW - now)))
            times.append(now)

    def stopped(self, address: str) -> bool:
        """Tells whether the next one from that address is too many."""
        times = self._times.get(origin(address), [])
        return len(times) >= settings.INVALID_KEYS_PER_MINUTE and times[0] > self._clock() - WINDOW

    def take(self) -> dict[str, int]:
        """Returns how many came from each address since the last time."""
        with self._lock:
            taken, self._uncounted = self._uncounted, {}
        return taken

    def give_back(self, taken: dict[str, int]) -> None:
        """Counts again what could not be stored."""
        with self._lock:
            for who, count in taken.items():
                self._uncounted[who] = self._uncounted.get(who, 0) + count


guesses = Guesses()
