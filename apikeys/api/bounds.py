"""A key can't give another more than it has, nor touch one that has more: the rule of `delegation`, as a refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apikeys.delegation import change_excesses, excesses, of_principal
from apikeys.models import Allowance
from gateway.rest import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apikeys.delegation import Authority
    from apikeys.models import Key
    from apikeys.principal import Principal


class TooMuch(Refusal):
    """A key was to be given more than the one that asks has, or has more already."""

    def __init__(self, excess: list[str]) -> None:
        super().__init__(
            403, f"A key can't give, or change, more than it has itself: {'; '.join(excess)}.", kind="more_than_own"
        )


def authority_of(principal: Principal) -> Authority:
    """Returns what the asking key may give; queries the database for its limits."""
    return of_principal(principal, Allowance.of("key", principal.key_id))


def within(authority: Authority, key: Key, limits: Mapping[str, int], before: Mapping[str, int] | None = None) -> None:
    """Raises TooMuch unless all that `key` may do, under these limits, may be given; `before` are a stored key's."""
    excess = list(
        excesses(authority, key, limits) if before is None else change_excesses(authority, key, before, limits)
    )
    if excess:
        raise TooMuch(excess)
