"""What a key may do, as the running server knows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# What a key may do unless it is given more: ask models, and read what there is to ask.
INFERENCE = frozenset({"inference"})


@dataclass(frozen=True, slots=True)
class Principal:
    """A frozen picture of one key; stands where Django has a user.  Kept tiny, since all keys are held in memory.

    `expires_at` is in seconds since the epoch, None for never.
    """

    key_id: str
    label: str
    expires_at: float | None = None
    scopes: frozenset[str] = INFERENCE
    models: tuple[str, ...] = ()  # patterns; none means all models

    @property
    def is_authenticated(self) -> Literal[True]:
        """Is always true: only a recognised key has a principal."""
        return True

    def __str__(self) -> str:
        """Names the key for people."""
        return f"{self.label} ({self.key_id})"
