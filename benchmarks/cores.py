"""Which core runs what: the server that is measured has one for itself, load and stub share the other."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Cores:
    """The core of the measured server and the core of everything else; None where pinning can't be done."""

    server: int | None
    load: int | None

    def describe(self) -> str:
        """Says in words what runs where."""
        if self.server is None:
            return "nothing is pinned: the system can't do it, or has one core"
        return f"the measured server alone on core {self.server}, load and stub on core {self.load}"


def choose() -> Cores:
    """Takes the first two cores that this process may use."""
    if sys.platform != "linux":
        return Cores(None, None)
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(allowed[0], allowed[1]) if len(allowed) > 1 else Cores(None, None)


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Makes processes started inside run on one core, all their threads included."""
    if core is None or sys.platform != "linux":
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
