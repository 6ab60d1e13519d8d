"""What an operator can do to keys with a button, and what is said before and after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from apikeys.models import Key, KeyQuerySet


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One of them; texts are for people, `{keys}` stands for the key's name or for their number."""

    name: str
    verb: str
    question: str
    done: str
    nothing: str
    danger: bool
    final: bool = False
    choose: Callable[[KeyQuerySet], KeyQuerySet]
    do: Callable[[KeyQuerySet], int]

    def applies(self, key: Key) -> bool:
        """Tells whether it makes sense for a key as it is."""
        return self.choose(type(key).objects.filter(pk=key.pk)).exists()


REVOKE = Step(
    name="revoke",
    verb="Revoke",
    question="will be refused within a second, for good: a revoked key cannot be brought back, only replaced by a new "
    "one. Requests in progress will be terminated.",
    done="Revoked {keys}: refused everywhere within a second.",
    nothing="These keys are revoked already.",
    danger=True,
    final=True,
    choose=lambda keys: keys.not_revoked(),
    do=lambda keys: keys.revoke(),
)
DISABLE = Step(
    name="disable",
    verb="Disable",
    question="will be refused within a second, until enabled again. Requests in progress will be terminated.",
    done="Disabled {keys}: refused everywhere within a second.",
    nothing="These keys are disabled or revoked already.",
    danger=True,
    choose=lambda keys: keys.not_revoked().filter(enabled=True),
    do=lambda keys: keys.disable(),
)
ENABLE = Step(
    name="enable",
    verb="Enable",
    question="will work again within a second, as before.",
    done="Enabled {keys}: accepted again within a second.",
    nothing="None of these keys is disabled; a revoked one stays revoked.",
    danger=False,
    choose=lambda keys: keys.not_revoked().filter(enabled=False),
    do=lambda keys: keys.enable(),
)
STEPS = {step.name: step for step in (DISABLE, ENABLE, REVOKE)}
