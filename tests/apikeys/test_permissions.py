"""What a key asks of a request: its dialect or path, and the address it comes from."""

from __future__ import annotations

import ipaddress

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from apikeys import lists
from apikeys.permissions import permit, within
from apikeys.principal import Principal
from apikeys.refusals import AddressNotAllowed, RouteNotAllowed

HERE = "192.0.2.7"


@pytest.mark.parametrize(
    ("routes", "allowed"),
    [
        ((), True),
        (("ollama",), True),
        (("openai",), False),
        (("openai", "ollama"), True),
        (("/api/chat",), True),
        (("/api/*",), True),
        (("/api",), False),
        (("/API/chat",), False),
        (("/api/cha",), False),
        (("*",), True),
    ],
)
def test_a_route_is_allowed_by_its_dialect_or_its_path(routes: tuple[str, ...], allowed: bool) -> None:
    principal = Principal("a", "a", routes=routes)
    if allowed:
        permit(principal, "/api/chat", "ollama", HERE)
    else:
        with pytest.raises(RouteNotAllowed):
            permit(principal, "/api/chat", "ollama", HERE)


@pytest.mark.parametrize(
    ("addresses", "address", "allowed"),
    [
        ((), "", True),
        (("192.0.2.7",), HERE, True),
        (("192.0.2.0/24",), HERE, True),
        (("198.51.100.0/24", "192.0.2.0/24"), HERE, True),
        (("198.51.100.0/24",), HERE, False),
        (("192.0.2.7",), "::ffff:192.0.2.7", True),
        (("2001:db8::/32",), "2001:db8::1", True),
        (("2001:db8::/32",), HERE, False),
        (("0.0.0.0/0",), "2001:db8::1", False),
        (("192.0.2.0/24",), "", False),
        (("192.0.2.0/24",), "192.0.2.7, 10.0.0.1", False),
    ],
)
def test_an_address_is_allowed_by_its_network(addresses: tuple[str, ...], address: str, allowed: bool) -> None:
    principal = Principal("a", "a", addresses=addresses)
    if allowed:
        permit(principal, "/", "ollama", address)
    else:
        with pytest.raises(AddressNotAllowed):
            permit(principal, "/", "ollama", address)


@given(st.ip_addresses(), st.integers(0, 128))
def test_an_address_is_within_each_network_of_its_own(address: ipaddress.IPv4Address, length: int) -> None:
    network = ipaddress.ip_network(f"{address}/{min(length, address.max_prefixlen)}", strict=False)
    mapped = getattr(address, "ipv4_mapped", None)
    assert within(str(address), (str(network),)) or mapped is not None
    lists.networks(str(network))


# Lists as people type them


@given(st.lists(st.from_regex(r"[a-z0-9.:/*-]{1,12}", fullmatch=True)), st.sampled_from([",", ", ", " ", "\n", " ,\n"]))
def test_a_list_is_its_parts_whatever_separates_them(words: list[str], separator: str) -> None:
    expected = tuple(dict.fromkeys(words))
    assert lists.parts(separator.join(words)) == expected
    assert lists.parts(lists.joined(separator.join(words))) == expected


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (lists.known_scopes, "inference,root"),
        (lists.known_scopes, " , "),
        (lists.model_patterns, "a|b"),
        (lists.model_patterns, ",".join(f"m{number}" for number in range(101))),
        (lists.known_routes, "soap"),
        (lists.known_routes, "http://x/"),
        (lists.networks, "10.0.0.300"),
        (lists.networks, "10.0.0.1/24"),
        (lists.networks, "localhost"),
    ],
)
def test_what_is_no_such_list_is_refused(check: object, text: str) -> None:
    with pytest.raises(ValidationError):
        check(text)  # type: ignore[operator] # one of the checks above
