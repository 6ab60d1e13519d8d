"""A key can't give another more than it has, nor touch one that has more."""

from __future__ import annotations

import ipaddress
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from apikeys import lists
from gateway.rest import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from apikeys.models import Key
    from apikeys.principal import Principal


class TooMuch(Refusal):
    """A key was to be given more than the one that asks has, or has more already."""

    def __init__(self, excess: list[str]) -> None:
        super().__init__(
            403, f"A key can't give, or change, more than it has itself: {'; '.join(excess)}.", kind="more_than_own"
        )


def within_own(principal: Principal, own_limits: Mapping[str, int], key: Key, limits: Mapping[str, int]) -> None:
    """Raises TooMuch unless all that `key` may do, under these limits, the asking key may do under its own."""
    excess = list(excesses(principal, own_limits, key, limits))
    if excess:
        raise TooMuch(excess)


def excesses(principal: Principal, own_limits: Mapping[str, int], key: Key, limits: Mapping[str, int]) -> Iterator[str]:
    """Yields what is more, in words for people."""
    more = lists.scopes(key.scopes) - principal.scopes
    if more:
        yield f"scopes {', '.join(sorted(more))}"
    rules: tuple[tuple[str, tuple[str, ...], tuple[str, ...], Callable[[str, str], bool]], ...] = (
        ("models", principal.models, lists.parts(key.models), model_covers),
        ("routes", principal.routes, lists.parts(key.routes), route_covers),
        ("addresses", principal.addresses, lists.parts(key.addresses), network_covers),
    )
    for name, own, given, covers in rules:
        if own and not (given and all(any(covers(mine, one) for mine in own) for one in given)):
            yield f"{name} beyond {', '.join(own)}"
    if principal.body_limit is not None and (key.body_limit is None or key.body_limit > principal.body_limit):
        yield f"a body_limit above {principal.body_limit}"
    if principal.expires_at is not None and (key.expires is None or key.expires.timestamp() > principal.expires_at):
        yield "an end after its own"
    for dimension, amount in own_limits.items():
        if dimension not in limits or limits[dimension] > amount:
            yield f"{dimension} above {amount}"
    if principal.team and key.team != principal.team:
        yield f"another team than {principal.team}"
    if principal.owner_id is not None and key.owner_id != principal.owner_id:
        yield "another owner"


def model_covers(own: str, given: str) -> bool:
    """Tells whether a pattern covers another: a `*` of the second can only be met by one of the first."""
    return fnmatchcase(tagged(given), tagged(own))


def tagged(pattern: str) -> str:
    """Returns a pattern with the tag that it means."""
    plain = pattern.lower()
    return plain if ":" in plain.rpartition("/")[2] or plain.endswith("*") else f"{plain}:latest"


def route_covers(own: str, given: str) -> bool:
    """Tells whether a dialect or path covers another; which paths a dialect has is not known here."""
    return fnmatchcase(given, own) if own.startswith("/") else given == own


def network_covers(own: str, given: str) -> bool:
    """Tells whether a network has another within it."""
    mine, other = ipaddress.ip_network(own), ipaddress.ip_network(given)
    return mine.version == other.version and mine.supernet_of(other)  # type: ignore[arg-type] # of one version
