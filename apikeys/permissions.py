"""What a view asks of its caller, and what a key asks of a request."""

from __future__ import annotations

import ipaddress
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING

from rest_framework.exceptions import NotAuthenticated
from rest_framework.permissions import BasePermission

from apikeys.principal import Principal
from apikeys.refusals import AddressNotAllowed, RouteNotAllowed

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView

NO_KEY = "An API key is needed: send it as `X-API-Key: <key>` or as `Authorization: Bearer <key>`."


class HasAPIKey(BasePermission):
    """Lets only a recognised key pass."""

    def has_permission(self, request: Request, _view: APIView) -> bool:
        """Returns True; raises NotAuthenticated, with a word on how to send a key."""
        if not isinstance(request.user, Principal):
            raise NotAuthenticated(NO_KEY)
        return True


def permit(principal: Principal, path: str, dialect: str, address: str) -> None:
    """Lets a key pass that may use a path of a dialect from a client's address.

    `path` is the route's, as the table of routes writes it.  Raises RouteNotAllowed and AddressNotAllowed.
    """
    if principal.routes and not covers(principal.routes, path, dialect):
        raise RouteNotAllowed
    if principal.addresses and not within(address, principal.addresses):
        raise AddressNotAllowed


def covers(routes: tuple[str, ...], path: str, dialect: str) -> bool:
    """Tells whether a list of dialects and paths, in which `*` stands for anything, has this one."""
    return any(route == dialect or fnmatchcase(path, route) for route in routes)


@lru_cache(maxsize=4096)
def within(address: str, networks: tuple[str, ...]) -> bool:
    """Tells whether an address is one of these, or in one of these networks; what is no address is in none."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    # A socket that listens for both families writes 192.0.2.7 as ::ffff:192.0.2.7.
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in ipaddress.ip_network(network) for network in networks)
