"""`manage.py changeapikey`, `rotateapikey`, `disableapikey` and `enableapikey`."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone

from apikeys import keys
from apikeys.models import AuditEntry, Key

pytestmark = pytest.mark.django_db


def run(command: str, key: Key, *options: str) -> str:
    output = StringIO()
    call_command(command, key.key_id, *options, stdout=output)
    key.refresh_from_db()
    return output.getvalue()


@pytest.fixture
def key() -> Key:
    return Key.objects.issue(label="Ana", models="mistral", limits={"concurrency": 2})[0]


def test_what_is_named_changes_and_the_rest_stays(key: Key) -> None:
    User.objects.create_user("ana")
    said = run("changeapikey", key, "--owner", "ana", "--team", "research", "--tokens-per-day", "9", "--expires", "30d")
    assert "Changed Ana" in said
    assert (key.owner.username, key.team, key.models) == ("ana", "research", "mistral")
    assert key.limits == {"concurrency": 2, "tokens_per_day": 9}
    run("changeapikey", key, "--models", "", "--concurrency", "0", "--expires", "never", "--owner", "", "--label", "Bo")
    assert (key.models, key.limits, key.expires, key.owner, key.label) == ("", {"tokens_per_day": 9}, None, None, "Bo")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "Nothing to change"),
        (("--owner", "nobody"), "No user is called 'nobody'"),
        (("--tokens-per-day", "-1"), "--tokens-per-day -1"),
        (("--body-limit", "-1"), "--body-limit"),
        (("--addresses", "here"), "'here' is no address"),
        (("--routes", "soap"), "'soap' is neither"),
        (("--label", " "), "needs a label"),
    ],
)
def test_what_can_not_be_is_said_and_changes_nothing(key: Key, options: tuple[str, ...], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        run("changeapikey", key, *options)
    assert AuditEntry.objects.count() == 1


def test_a_rotation_shows_the_new_secret_once_and_keeps_the_old_for_a_day(key: Key) -> None:
    before = key.digest
    said = run("rotateapikey", key)
    secret = next(word for word in said.split() if word.startswith("ollama_"))
    assert keys.parse(secret).id == key.key_id
    assert key.old_digest == before != key.digest
    assert abs(key.old_until - timezone.now() - timedelta(days=1)) < timedelta(minutes=1)
    assert "The old one works until" in said


def test_a_rotation_without_grace_ends_the_old_secret(key: Key) -> None:
    assert "The old one is dead" in run("rotateapikey", key, "--grace", "0")
    assert (key.old_digest, key.old_until) == ("", None)


@pytest.mark.parametrize("grace", ["soon", "-1", "5x", "99999999999w"])
def test_a_grace_that_is_no_duration_is_refused(key: Key, grace: str) -> None:
    with pytest.raises(CommandError, match="24h"):
        run("rotateapikey", key, f"--grace={grace}")


def test_disabling_can_be_taken_back(key: Key) -> None:
    assert "Disabled" in run("disableapikey", key)
    assert key.state == "disabled"
    assert "was disabled before" in run("disableapikey", key)
    assert "Enabled" in run("enableapikey", key)
    assert key.state == "active"
    assert "was not disabled" in run("enableapikey", key)


@pytest.mark.parametrize(
    ("command", "options"),
    [("changeapikey", ("--team", "x")), ("rotateapikey", ()), ("disableapikey", ()), ("enableapikey", ())],
)
def test_a_revoked_key_stays_as_it_is(key: Key, command: str, options: tuple[str, ...]) -> None:
    key.revoke()
    with pytest.raises(CommandError, match="revoked"):
        run(command, key, *options)


def test_the_audit_trail_names_the_command_and_who_ran_it(key: Key) -> None:
    run("disableapikey", key)
    entry = AuditEntry.objects.first()
    assert entry.actor.startswith("command disableapikey by ")
    assert entry.action == "disabled"
