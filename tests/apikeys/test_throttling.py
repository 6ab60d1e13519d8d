"""Invalid keys and wrong passwords are counted and slowed; what is good goes on working."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress

import httpx
import pytest
from django.contrib.auth.models import User
from django.test import Client

from apikeys import guesses as guesses_module
from apikeys import keys
from apikeys.guesses import Guesses, origin
from apikeys.models import AttemptCount
from apikeys.refusals import TooManyGuesses
from tests.apikeys.dialects import ENDPOINTS, ask, error_text
from tests.harness import GatewayServer


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guesses(clock: Clock, settings: object) -> Guesses:
    settings.INVALID_KEYS_PER_MINUTE = 3  # type: ignore[attr-defined] # pytest-django's
    return Guesses(clock)


def test_so_many_in_any_minute_and_no_more(guesses: Guesses, clock: Clock) -> None:
    for _ in range(3):
        guesses.count("192.0.2.1")
        clock.now += 10
    assert guesses.stopped("192.0.2.1")
    with pytest.raises(TooManyGuesses) as refused:
        guesses.count("192.0.2.1")
    assert refused.value.headers["Retry-After"] == "30"  # until the first is a minute ago
    guesses.count("192.0.2.2")
    clock.now += 30.1
    guesses.count("192.0.2.1")
    with pytest.raises(TooManyGuesses):
        guesses.count("192.0.2.1")


def test_all_are_counted_the_slowed_too(guesses: Guesses) -> None:
    for _ in range(5):
        with suppress(TooManyGuesses):
            guesses.count("192.0.2.1")
    assert guesses.take() == {"192.0.2.1": 5}
    assert guesses.take() == {}
    guesses.give_back({"192.0.2.1": 5})
    assert guesses.take() == {"192.0.2.1": 5}


def test_the_table_is_bounded(guesses: Guesses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guesses_module, "MOST_ADDRESSES", 5)
    for number in range(50):
        guesses.count(f"192.0.2.{number}")
    assert len(guesses._times) == 5
    assert len(guesses.take()) == 5


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("", "unknown"),
        ("unix:", "unknown"),
    ],
)
def test_an_ipv6_client_is_its_network(address: str, expected: str) -> None:
    assert origin(address) == expected


@pytest.mark.parametrize("dialect", ENDPOINTS)
def test_an_address_that_guesses_has_to_wait_and_a_valid_key_does_not(
    make_gateway: Callable[..., GatewayServer], dialect: str
) -> None:
    server = make_gateway(INVALID_KEYS_PER_MINUTE=5)
    statuses = [ask(server, keys.generate().text, dialect).status_code for _ in range(7)]
    assert statuses == [401] * 5 + [429] * 2
    refused = ask(server, "malformed", dialect)
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert "A valid key goes on working" in error_text(refused, dialect)
    assert ask(server, server.key, dialect).status_code == 200
    server.stop()
    said = server.manage("shell", "-v", "0", "-c", COUNT).stdout
    assert said.split() == ["127.0.0.1", "8"]


COUNT = "from apikeys.models import AttemptCount as A; a = A.objects.get(); print(a.address, a.count)"


@pytest.mark.django_db
def test_counts_of_an_hour_add_up_and_are_shown(admin_client: Client) -> None:
    AttemptCount.add({"192.0.2.1": 5, "2001:db8::/64": 1})
    AttemptCount.add({"192.0.2.1": 37})
    assert AttemptCount.objects.get(address="192.0.2.1").count == 42
    assert "42" in admin_client.get("/admin/apikeys/attemptcount/").content.decode()


# The admin's login


def log_in(server: GatewayServer, password: str, name: str = "admin") -> httpx.Response:
    with httpx.Client(base_url=server.url) as client:
        page = client.get("/admin/login/").text
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
        form = {"csrfmiddlewaretoken": token, "username": name, "password": password, "next": "/admin/"}
        return client.post("/admin/login/", data=form)


def test_passwords_cannot_be_tried_for_ever(make_gateway: Callable[..., GatewayServer]) -> None:
    from tests.harness import ADMIN_PASSWORD

    server = make_gateway()
    assert log_in(server, ADMIN_PASSWORD).status_code == 302
    for name in ("admin", "nobody"):
        statuses = [log_in(server, "wrong", name).status_code for _ in range(11)]
        assert statuses[:9] == [200] * 9
        assert statuses[-1] == 429
    stopped = log_in(server, ADMIN_PASSWORD)
    assert stopped.status_code == 429
    assert int(stopped.headers["Retry-After"]) == 600
    assert ADMIN_PASSWORD not in server.log()
    assert "wrong" not in server.log()
    # The API is not concerned.
    assert ask(server, server.key).status_code == 200


@pytest.mark.django_db
def test_a_login_that_was_mistyped_works_when_it_is_right(client: Client) -> None:
    User.objects.create_user("ana", password="right", is_staff=True)
    for password, status in (("wrong", 200), ("wrong", 200), ("right", 302)):
        assert client.post("/admin/login/", {"username": "ana", "password": password}).status_code == status
