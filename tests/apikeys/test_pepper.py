"""The pepper can be changed: old ones verify, and keys move to the present one when they are used."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from apikeys import keys
from apikeys.authentication import look_up
from apikeys.feed import KeyFeed
from apikeys.models import Key, KeyRevision
from apikeys.pepper import pepper_counts
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


def test_keys_are_counted_by_the_pepper_that_they_were_stored_with(settings: Any) -> None:
    settings.KEY_PEPPER = "first"
    old, _ = Key.objects.issue(label="old")
    moved, secret = Key.objects.issue(label="moved")
    unnoted, _ = Key.objects.issue(label="from before peppers were noted")
    Key.objects.filter(pk=unnoted.pk).update(pepper_id="")
    lost, _ = Key.objects.issue(label="revoked")
    lost.revoke()
    assert pepper_counts() == (3, (), 0)
    settings.KEY_PEPPER, settings.KEY_PEPPER_FALLBACKS = "second", ["first"]
    Key.objects.issue(label="new")
    assert pepper_counts() == (1, (3,), 0)
    Key.objects.digest_anew(moved.key_id, moved.digest, keys.digest(secret, "second").hex())
    assert pepper_counts() == (2, (2,), 0)
    old.rotate()
    assert pepper_counts() == (3, (1,), 0)
    settings.KEY_PEPPER_FALLBACKS = []
    assert pepper_counts() == (3, (), 1)
    unnoted.rotate()
    assert pepper_counts() == (4, (), 0)


def verify() -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("verifyaudit", "--json", stdout=out, stderr=StringIO())
    except CommandError as error:
        return error.returncode, out.getvalue()
    return 0, out.getvalue()


def test_an_older_pepper_is_told_from_tampering(settings: Any) -> None:
    settings.KEY_PEPPER = "first"
    Key.objects.issue(label="one")
    settings.KEY_PEPPER = "second"
    Key.objects.issue(label="two")
    code, said = verify()
    assert code == 3
    assert json.loads(said) == {
        **json.loads(said),
        "whole": False,
        "entries": 2,
        "unknown_pepper": 1,
        "older_pepper": 0,
        "flaws": [],
    }
    settings.KEY_PEPPER_FALLBACKS = ["first"]
    code, said = verify()
    assert (code, json.loads(said)["older_pepper"], json.loads(said)["whole"]) == (0, 1, True)
    settings.KEY_PEPPER_FALLBACKS = []
    with connection.cursor() as cursor:
        cursor.execute("UPDATE apikeys_auditentry SET actor = 'eve' WHERE number = 2")
    assert verify()[0] == 1
