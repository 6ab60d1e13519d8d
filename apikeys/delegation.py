"""Who may give what to a key: one rule for the API, the admin and commands.

Nobody gives more than they have, nor changes a key that has more.  A key of the API has its own scopes, rules and
limits; a user of the admin has what permissions say; whoever runs commands on the server has everything.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from apikeys import lists
from apikeys.entries import window_rules
from apikeys.models import Allowance, Key
from apikeys.principal import INFERENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, PermissionsMixin

    from apikeys.principal import Principal
    from gateway.context_window import WindowRule

# Permissions of users of the admin.
GRANT_SCOPES = "apikeys.grant_scopes"
SET_LIMITS = "apikeys.set_limits"
ASSIGN_OWNER = "apikeys.assign_owner"
ASSIGN_TEAM = "apikeys.assign_team"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """The most that somebody may give to a key; empty and None where there is no bound."""

    scopes: frozenset[str] = frozenset(lists.SCOPES)
    models: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    body_limit: int | None = None  # bytes
    windows: tuple[WindowRule, ...] = ()  # which bind its requests; others take the scope `manage`
    expires_at: float | None = None  # epoch seconds
    limits: Mapping[str, int] = field(default_factory=dict)
    may_unattend: bool = True  # whether a key may be taken from the path, or for requests without one
    raises_limits: bool = True  # whether a stored key's limits may be raised, up to `limits`
    owners: frozenset[int] | None = None  # numbers of users
    teams: frozenset[str] | None = None

    @property
    def is_whole(self) -> bool:
        """Tells whether nothing is bounded."""
        return self == OPERATOR

    @property
    def may_limit_others(self) -> bool:
        """Tells whether limits of owners and teams may be set: they could loosen what bounds whoever sets them."""
        rules = (self.models, self.routes, self.addresses, self.limits, self.body_limit, self.windows, self.expires_at)
        return not any(rules) and self.owners is None and self.teams is None


# Whoever runs commands on the server, and superusers.
OPERATOR = Authority()


def of_principal(principal: Principal, limits: Mapping[str, int]) -> Authority:
    """Returns the authority of a key of the API with these limits."""
    return Authority(
        scopes=principal.scopes,
        models=principal.models,
        routes=principal.routes,
        addresses=principal.addresses,
        body_limit=principal.body_limit,
        windows=principal.windows,
        expires_at=principal.expires_at,
        limits=limits,
        # It opens the gateway to whoever is in a network: that takes more than issuing keys, as in the admin.
        may_unattend="manage" in principal.scopes,
        owners=None if principal.owner_id is None else frozenset({principal.owner_id}),
        teams=frozenset({principal.team}) if principal.team else None,
    )


def of_user(user: AbstractBaseUser | AnonymousUser | PermissionsMixin) -> Authority:
    """Returns the authority of a user of the admin; queries the database where permissions bound it."""
    may = {name: user.has_perm(name) for name in (GRANT_SCOPES, SET_LIMITS, ASSIGN_OWNER, ASSIGN_TEAM)}  # type: ignore[union-attr] # each that logs in has it
    own = list(Key.objects.not_revoked().filter(owner_id=user.pk)) if not all(may.values()) else []
    return Authority(
        scopes=frozenset(lists.SCOPES) if may[GRANT_SCOPES] else INFERENCE,
        limits={} if may[SET_LIMITS] else shared_limits(own),
        may_unattend=may[GRANT_SCOPES],
        raises_limits=may[SET_LIMITS],
        owners=None if may[ASSIGN_OWNER] else frozenset({user.pk or 0}),
        teams=None if may[ASSIGN_TEAM] else frozenset(key.team for key in own) or frozenset({""}),
    )


def shared_limits(own: list[Key]) -> dict[str, int]:
    """Returns what each of a user's keys is limited to, at its greatest: that is a limit of the user's own."""
    each = list(Allowance.all_of("key", [key.key_id for key in own]).values()) if own else []
    if not each or len(each) < len(own):
        return {}
    return {name: max(limits[name] for limits in each) for name in each[0] if all(name in limits for limits in each)}


def excesses(authority: Authority, key: Key, limits: Mapping[str, int]) -> Iterator[str]:
    """Yields in which ways a key with these limits has more than an authority may give, in words for people."""
    more = lists.scopes(key.scopes) - authority.scopes
    if more:
        yield f"scopes {', '.join(sorted(more))}"
    rules: tuple[tuple[str, tuple[str, ...], tuple[str, ...], Callable[[str, str], bool]], ...] = (
        ("models", authority.models, lists.parts(key.models), model_covers),
        ("routes", authority.routes, lists.parts(key.routes), route_covers),
        ("addresses", authority.addresses, lists.parts(key.addresses), network_covers),
    )
    if (key.allow_in_path or key.keyless_networks) and not authority.may_unattend:
        yield "a key in the path, or none at all"
    if authority.addresses and key.keyless_networks:
        rules += (("keyless_networks", authority.addresses, lists.parts(key.keyless_networks), network_covers),)
    for name, own, given, covers in rules:
        if own and not (given and all(any(covers(mine, one) for mine in own) for one in given)):
            yield f"{name} beyond {', '.join(own)}"
    if authority.body_limit is not None and (key.body_limit is None or key.body_limit > authority.body_limit):
        yield f"a body_limit above {authority.body_limit}"
    yield from wider_windows(authority, key)
    if authority.expires_at is not None and (key.expires is None or key.expires.timestamp() > authority.expires_at):
        yield "an end after its own"
    yield from above(authority.limits, limits)
    if authority.teams is not None and key.team not in authority.teams:
        yield f"another team than {' or '.join(sorted(authority.teams)) or 'none'}"
    if authority.owners is not None and key.owner_id not in authority.owners:
        yield "another owner"


def wider_windows(authority: Authority, key: Key) -> Iterator[str]:
    """Yields what a key's context windows have beyond an authority's: larger windows take everybody's memory.

    Whoever has rules gives each of them or a smaller one, and others that are smaller than all; whoever has none, and
    may not change the box, gives none.
    """
    own, given = authority.windows, window_rules(key.context_window)
    if own:
        kept = {rule.pattern for rule in own} <= {rule.pattern for rule in given}
        if not kept or not all(within(own, rule) for rule in given):
            yield f"context windows beyond {','.join(map(str, own))}"
    elif given and "manage" not in authority.scopes:
        yield "context windows, which take the scope manage"


def within(own: tuple[WindowRule, ...], given: WindowRule) -> bool:
    """Tells whether a rule for context windows gives no more than others, for no other models."""
    same = [rule for rule in own if rule.pattern == given.pattern]
    return all(rule.covers(given) for rule in same or own) and any(
        model_covers(rule.pattern, given.pattern) for rule in own
    )


def change_excesses(
    authority: Authority, key: Key, before: Mapping[str, int], after: Mapping[str, int]
) -> Iterator[str]:
    """Yields the same of a stored key as it is to be, with its limits before and after."""
    yield from excesses(authority, key, after)
    if not authority.raises_limits:
        yield from above(before, after)


def above(bounds: Mapping[str, int], limits: Mapping[str, int]) -> Iterator[str]:
    """Yields the limits that are above their bounds, or absent."""
    for dimension, amount in bounds.items():
        if dimension not in limits or limits[dimension] > amount:
            yield f"{dimension} above {amount}"


def may_change(authority: Authority, key: Key) -> bool:
    """Tells whether a stored key has no more than an authority may give; whoever rotates it gets all that it has."""
    return authority.is_whole or next(excesses(authority, key, key.limits if authority.limits else {}), None) is None


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
