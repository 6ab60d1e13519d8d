"""When a key was last used: noted in memory, written in bulk, no change to the key."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from django.db import OperationalError

from apikeys import last_used as module
from apikeys.last_used import LastUsed
from apikeys.models import Key, KeyQuerySet, KeyRevision

pytestmark = pytest.mark.django_db


def test_a_note_is_stored_at_the_next_write() -> None:
    key, _ = Key.objects.issue(label="Ana")
    uses = LastUsed()
    before = time.time()
    uses.note(key.key_id)
    key.refresh_from_db()
    assert key.last_used is None
    uses.write()
    key.refresh_from_db()
    assert before <= key.last_used.timestamp() <= time.time()


def test_many_keys_are_one_statement_and_no_change(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: object
) -> None:
    issued = [Key.objects.issue(label=str(number))[0] for number in range(10)]
    revision = KeyRevision.seen()
    uses = LastUsed()
    for number, key in enumerate(issued):
        monkeypatch.setattr(module.time, "time", lambda number=number: 1_000_000 + number)
        uses.note(key.key_id)
        uses.note(key.key_id)
    with django_assert_num_queries(1):
        uses.write()
    for number, key in enumerate(issued):
        key.refresh_from_db()
        assert key.last_used == datetime.fromtimestamp(1_000_000 + number, UTC)
    assert KeyRevision.seen() == revision


def test_nothing_noted_is_no_query(django_assert_num_queries: object) -> None:
    with django_assert_num_queries(0):
        LastUsed().write()


def test_more_keys_than_one_statement_holds_are_all_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apikeys.models.queryset.KEYS_A_STATEMENT", 3)
    uses = LastUsed()
    for number in range(8):
        uses.note(Key.objects.issue(label=str(number))[0].key_id)
    uses.write()
    assert not Key.objects.filter(last_used=None).exists()


def test_what_could_not_be_written_is_written_later(monkeypatch: pytest.MonkeyPatch) -> None:
    key, _ = Key.objects.issue(label="Ana")
    uses = LastUsed()
    uses.note(key.key_id)

    def refuse(*_: object) -> None:
        raise OperationalError

    with monkeypatch.context() as patch:
        patch.setattr(KeyQuerySet, "note_uses", refuse)
        patch.setattr(type(Key.objects), "note_uses", refuse)
        with pytest.raises(OperationalError):
            uses.write()
    uses.write()
    key.refresh_from_db()
    assert key.last_used is not None


def test_a_revoked_key_keeps_its_last_use() -> None:
    key, _ = Key.objects.issue(label="Ana")
    uses = LastUsed()
    uses.note(key.key_id)
    key.revoke()
    uses.write()
    key.refresh_from_db()
    assert key.last_used is not None
    assert key.state == "revoked"
