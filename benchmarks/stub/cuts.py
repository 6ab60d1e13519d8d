"""Where bytes are cut: every n of them, or at random places that a seed decides."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RANDOM_MOST = 13


def cutter(how: str, seed: int) -> Callable[[bytes], Iterator[bytes]] | None:
    """Returns a function that cuts bytes into pieces: of a fixed size, or of random ones for "random"."""
    if not how:
        return None
    source = Random(seed)  # noqa: S311 -- repeatable places, not secrets

    def size() -> int:
        return source.randint(1, RANDOM_MOST) if how == "random" else max(1, int(how))

    def cut(data: bytes) -> Iterator[bytes]:
        start = 0
        while start < len(data):
            end = start + size()
            yield data[start:end]
            start = end

    return cut
