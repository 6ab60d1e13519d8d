"""The key as it is stored: what is kept of it, that its changes are numbered, and that its end is final."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils import timezone

from apikeys import keys
from apikeys.models import Key, KeyIsKept, KeyRevision, RevocationIsFinal
from apikeys.whose import Nobody, whose

# Controls, line breaks, and what shows text in another order than it has.
DECEIVING = [
    *("two\nlines", "bell\a", "\x1b[31mred", "\x9bcsi", "del\x7f", "a\u2028b", "a\u2029b", "a\x00b", "a\ud800b"),
    *("a\u202eb", "a\u202ab", "a\u2066b", "a\u2069b"),
]
EVERY_SCRIPT = [
    *("\U0001f469\u200d\U0001f4bb Ana", "❤\ufe0f", "\U0001f3f4\U000e0067\U000e0062\U000e007f", "می\u200cشد"),
    *("क्\u200dष", "山田\u3000太郎", "\u200fשלם\u200e x", "葛\U000e0100", "na\u00a0me", "co\u00adop"),
    *("\U0001fae9 new", "ไทย", "e\u0301"),
]

pytestmark = pytest.mark.django_db


def test_an_issued_key_is_stored_as_a_digest() -> None:
    key, secret = Key.objects.issue(label="Ana")
    stored = Key.objects.get(key_id=key.key_id)
    assert (stored.label, stored.state, stored.last_used, stored.expires) == ("Ana", "active", None, None)
    assert stored.digest == keys.digest(secret, settings.KEY_PEPPER).hex()


def test_no_column_holds_the_secret() -> None:
    key, secret = Key.objects.issue(label="Ana")
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM apikeys_key")
        row = cursor.fetchone()
    proof = secret.split("_")[2]
    assert key.key_id in row
    assert not any(proof[start : start + 8] in str(value) for value in row for start in range(len(proof) - 7))
    assert Key.objects.get(pk=key.pk).secret == ""


UNSEEN = ["\u200d", "\ufe0f", "\u3164", "\u2800", "\u3000 \u200b"]


@pytest.mark.parametrize("label", ["", "   ", "x" * 101, *DECEIVING, *UNSEEN])
def test_a_label_is_one_short_visible_line(label: str) -> None:
    with pytest.raises(ValidationError):
        Key.objects.issue(label=label)
    assert not Key.objects.exists()


@pytest.mark.parametrize("text", DECEIVING)
def test_neither_team_nor_note_steers_a_terminal_or_turns_text_around(text: str) -> None:
    with pytest.raises(ValidationError):
        Key.objects.issue(label="Ana", team=text)
    if len(text.splitlines()) == 1:  # a note may have several lines
        with pytest.raises(ValidationError):
            Key.objects.issue(label="Ana", note=text)
    with pytest.raises(Nobody):
        whose(f"team:{text}x")
    assert not Key.objects.exists()


@pytest.mark.parametrize("text", EVERY_SCRIPT)
def test_labels_teams_and_notes_take_every_script_and_emoji(text: str) -> None:
    key, _ = Key.objects.issue(label=text, team=text, note=f"{text}\n\t{text}")
    stored = Key.objects.get(pk=key.pk)
    assert (stored.label, stored.team, stored.note) == (text, text, f"{text}\n\t{text}")
    assert whose(f"team:{text}").name == text


def test_a_label_may_be_in_any_script() -> None:
    assert Key.objects.issue(label=" Анин ноутбук 💻 ")[0].label == "Анин ноутбук 💻"


def test_a_key_cannot_be_issued_expired() -> None:
    with pytest.raises(ValidationError, match="future"):
        Key.objects.issue(label="late", expires=timezone.now() - timedelta(seconds=1))


def test_the_state_follows_expiry_and_revocation() -> None:
    key, _ = Key.objects.issue(label="Ana", expires=timezone.now() + timedelta(days=1))
    assert key.state == "active"
    key.expires = timezone.now()
    assert key.state == "expired"
    key.revoke()
    assert key.state == "revoked"


def test_usable_leaves_out_the_revoked_and_the_expired() -> None:
    good, _ = Key.objects.issue(label="good")
    Key.objects.issue(label="revoked")[0].revoke()
    expired, _ = Key.objects.issue(label="expired")
    Key.objects.filter(pk=expired.pk).update(expires=timezone.now())
    assert list(Key.objects.usable()) == [good]


def test_a_key_outlives_the_user_who_made_it() -> None:
    user = User.objects.create_user("ana")
    key, _ = Key.objects.issue(label="Ana", created_by=user)
    user.delete()
    key.refresh_from_db()
    assert key.created_by is None


# Keys are kept


@pytest.mark.parametrize(
    "delete",
    [
        lambda key: key.delete(),
        lambda _: Key.objects.all().delete(),
        lambda key: Key.objects.filter(pk=key.pk).delete(),
    ],
    ids=["one", "all", "some"],
)
def test_a_key_is_never_deleted(delete: Callable[[Key], object]) -> None:
    key, _ = Key.objects.issue(label="Ana")
    with pytest.raises(KeyIsKept):
        delete(key)
    assert Key.objects.filter(pk=key.pk).exists()


# Revocation is final


def test_revoking_again_changes_nothing() -> None:
    key, _ = Key.objects.issue(label="Ana")
    assert key.revoke() is True
    revoked_at = key.revoked_at
    assert key.revoke() is False
    assert key.revoked_at == revoked_at


def _save_revived(key: Key) -> None:
    key.revoked_at = None
    key.save()


def _save_what_was_read_before(key: Key) -> None:
    stale = Key(**{field.attname: getattr(key, field.attname) for field in Key._meta.concrete_fields})
    stale.revoked_at = None
    stale._state.adding = False
    stale.save()


@pytest.mark.parametrize(
    "revive",
    [
        _save_revived,
        _save_what_was_read_before,
        lambda key: Key.objects.filter(pk=key.pk).update(revoked_at=None),
        lambda key: Key.objects.bulk_update([Key(pk=key.pk, revoked_at=None)], ["revoked_at"]),
    ],
    ids=["saved", "saved from an old object", "updated", "updated in bulk"],
)
def test_a_revoked_key_cannot_be_brought_back(revive: Callable[[Key], object]) -> None:
    key, _ = Key.objects.issue(label="Ana")
    key.revoke()
    with pytest.raises(RevocationIsFinal), transaction.atomic():
        revive(key)
    key.refresh_from_db()
    assert key.state == "revoked"


# Changes are numbered


def _latest() -> int:
    return KeyRevision.seen()


@pytest.mark.parametrize(
    "change",
    [
        lambda _: Key.objects.issue(label="another"),
        lambda key: key.save(),
        lambda key: key.save(update_fields=["label"]),
        lambda key: key.revoke(),
        lambda key: Key.objects.filter(pk=key.pk).revoke(),
        lambda key: Key.objects.filter(pk=key.pk).update(label="new"),
        lambda key: Key.objects.bulk_update([key], ["label"]),
        lambda _: Key.objects.bulk_create([Key(label="bulk", key_id="bulkbulkbulk", digest="00" * 32)]),
        lambda key: Key.objects.update_or_create(pk=key.pk, defaults={"label": "new"}),
    ],
    ids=[
        "issue",
        "save",
        "save a field",
        "revoke",
        "revoke set",
        "update",
        "bulk_update",
        "bulk_create",
        "update_or_create",
    ],
)
def test_every_change_is_numbered(change: Callable[[Key], object]) -> None:
    key, _ = Key.objects.issue(label="Ana")
    before = _latest()
    change(key)
    changed = list(Key.objects.changed_since(before))
    assert len(changed) == 1
    assert changed[0].revision == _latest() > before


def test_changes_are_listed_in_their_order() -> None:
    one, two, three = (Key.objects.issue(label=label)[0] for label in ("1", "2", "3"))
    before = _latest()
    three.revoke()
    one.save()
    assert list(Key.objects.changed_since(before)) == [three, one]
    assert two not in Key.objects.changed_since(before)


def test_a_change_that_is_rolled_back_leaves_no_number() -> None:
    key, _ = Key.objects.issue(label="Ana")
    before = _latest()
    with transaction.atomic():
        key.revoke()
        transaction.set_rollback(True)
    assert _latest() == before
    assert not Key.objects.changed_since(before).exists()


def test_numbering_goes_on_where_its_row_is_lost() -> None:
    key, _ = Key.objects.issue(label="Ana")
    KeyRevision.objects.all().delete()
    key.save()
    first = key.revision
    key.save()
    assert first > 1
    assert key.revision == first + 1
