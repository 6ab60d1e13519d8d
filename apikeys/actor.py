"""Who is changing keys: a user of the admin, a command, or another key."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class Actor(NamedTuple):
    """A name for the audit trail (`user ana`, `command revokeapikey`, `key Ana (id)`), and where it acts from."""

    name: str
    address: str = ""


# Code that says nothing, such as a shell of manage.py.
NOBODY = Actor("code")

_acting: ContextVar[Actor] = ContextVar("acting", default=NOBODY)


@contextmanager
def acting(name: str, address: str = "") -> Iterator[None]:
    """Names whoever makes the changes inside the block."""
    token = _acting.set(Actor(name, address))
    try:
        yield
    finally:
        _acting.reset(token)


def actor() -> Actor:
    """Returns who makes changes now."""
    return _acting.get()
