"""Keys for clients that have no place for one: in the path, or known by the client's network alone.

Both are off unless a key allows them, and no key has them that may manage models or keys: a path ends up in other
programs' logs, and a network is no proof of who calls.
"""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError

from apikeys import lists
from apikeys.principal import ATTENDED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apikeys.models import Key

NOT_WITH_SCOPES = (
    "A key that may manage models or keys is taken neither from the path nor for requests without a key: issue one "
    "for inference alone."
)
# A network of more addresses than this is nobody's own: the whole of 10.0.0.0/8, and of an IPv6 site.
WIDEST = {4: 8, 6: 48}


def check(key: Key) -> None:
    """Raises ValidationError for a key that can't have what it is given of this."""
    networks = lists.parts(key.keyless_networks)
    if not (networks or key.allow_in_path):
        return
    if lists.scopes(key.scopes) & ATTENDED:
        raise ValidationError({"keyless_networks" if networks else "allow_in_path": NOT_WITH_SCOPES})
    with suppress(ValueError):  # the field's own check says what is no network
        refuse_taken(key, set(map(ipaddress.ip_network, networks)))


def refuse_taken(key: Key, networks: set[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> None:
    """Raises ValidationError where another key has one of these networks: of two equal ones, neither could win."""
    from apikeys.models import Key as Stored

    if not networks:
        return
    others = Stored.objects.not_revoked().exclude(pk=key.pk).exclude(keyless_networks="")
    for other in others:
        both = networks & set(map(ipaddress.ip_network, lists.parts(other.keyless_networks)))
        if both:
            raise ValidationError({"keyless_networks": f"Requests from {min(map(str, both))} act as {other} already."})


def wide(networks: Iterable[str]) -> list[str]:
    """Returns those networks that are so wide, or so public, that anybody may be in them."""
    parsed = ((text, ipaddress.ip_network(text)) for text in networks)
    return [text for text, network in parsed if network.prefixlen < WIDEST[network.version] or network.is_global]
