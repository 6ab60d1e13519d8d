"""What a key may do, as the running server knows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from gateway.context_window import WindowRule

# What a key may do unless it is given more: ask models, and read what there is to ask.
INFERENCE = frozenset({"inference"})
# What takes a key that only its holder knows.
ATTENDED = frozenset({"manage", "keys"})


@dataclass(frozen=True, slots=True)
class Principal:
    """A frozen picture of one key; stands where Django has a user.  Kept tiny, since all keys are held in memory.

    `expires_at` is in seconds since the epoch, None for never.  Lists are empty where all is allowed.  Of a key with
    two good secrets there are two principals, told apart by `secret_number`.
    """

    key_id: str
    label: str
    expires_at: float | None = None
    scopes: frozenset[str] = INFERENCE
    models: tuple[str, ...] = ()  # patterns
    routes: tuple[str, ...] = ()  # dialects and paths
    addresses: tuple[str, ...] = ()  # addresses and networks
    body_limit: int | None = None  # bytes
    owner_id: int | None = None
    team: str = ""
    secret_number: int = 1
    windows: tuple[WindowRule, ...] = ()  # rules for context windows, which come before the settings'

    @property
    def is_authenticated(self) -> Literal[True]:
        """Is always true: only a recognised key has a principal."""
        return True

    def expired(self, now: float) -> bool:
        """Tells whether the key, or this secret of it, is over at `now` (epoch seconds)."""
        return self.expires_at is not None and self.expires_at <= now

    def __str__(self) -> str:
        """Names the key for people."""
        return f"{self.label} ({self.key_id})"
