"""The pepper can be changed: old ones verify, and keys move to the present one when they are used."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from apikeys import keys
from apikeys.authentication import look_up
from apikeys.feed import KeyFeed
from apikeys.models import Key, KeyRevision
from apikeys.redigest import new_digests
from tests.apikeys.dialects import ask
from tests.harness import SECRETS, GatewayServer

pytestmark = pytest.mark.django_db


@pytest.fixture
def moved(own_feed: KeyFeed, settings: Any) -> tuple[Key, str]:
    """A key from before the pepper was changed."""
    key, secret = Key.objects.issue(label="Ana")
    settings.KEY_PEPPER_FALLBACKS = [settings.KEY_PEPPER]
    settings.KEY_PEPPER = "the new pepper"
    own_feed.load()
    return key, secret


def test_a_key_from_before_works_and_moves_when_it_is_used(moved: tuple[Key, str], settings: Any) -> None:
    key, secret = moved
    before = KeyRevision.seen()
    assert look_up(secret).principal.key_id == key.key_id
    new_digests.write()
    key.refresh_from_db()
    assert key.digest == keys.digest(secret, "the new pepper").hex()
    assert KeyRevision.seen() == before  # the secret is what it was


def test_both_secrets_of_a_rotated_key_move(own_feed: KeyFeed, settings: Any) -> None:
    key, old = Key.objects.issue(label="Ana")
    new = key.rotate()
    settings.KEY_PEPPER_FALLBACKS = [settings.KEY_PEPPER]
    settings.KEY_PEPPER = "the new pepper"
    own_feed.load()
    for secret in (old, new):
        assert look_up(secret) is not None
        new_digests.write()
    key.refresh_from_db()
    assert (key.old_digest, key.digest) == tuple(keys.digest(one, "the new pepper").hex() for one in (old, new))


def test_a_secret_that_was_replaced_meanwhile_does_not_come_back(moved: tuple[Key, str]) -> None:
    key, secret = moved
    look_up(secret)
    new = Key.objects.get(pk=key.pk).rotate(grace=timedelta())
    new_digests.write()
    key.refresh_from_db()
    assert key.digest == keys.digest(new, "the new pepper").hex()


def test_without_the_old_pepper_a_key_from_before_is_nobody(moved: tuple[Key, str], settings: Any) -> None:
    settings.KEY_PEPPER_FALLBACKS = []
    assert look_up(moved[1]) is None


def test_a_server_with_a_new_pepper_serves_the_old_keys_and_moves_them(make_gateway: Any) -> None:
    server: GatewayServer = make_gateway(
        KEY_PEPPER="another pepper " + "q" * 40, KEY_PEPPER_FALLBACKS=SECRETS["KEY_PEPPER"]
    )
    assert ask(server, server.key).status_code == 200
    server.stop()
    lines = [line for line in (server.folder / ".env").read_text().splitlines() if "FALLBACKS" not in line]
    (server.folder / ".env").write_text("\n".join(lines))
    server.start()
    assert ask(server, server.key).status_code == 200
