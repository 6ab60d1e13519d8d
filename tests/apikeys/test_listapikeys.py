"""`manage.py listapikeys`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from apikeys.models import Key

pytestmark = pytest.mark.django_db


def listing() -> list[str]:
    output = StringIO()
    call_command("listapikeys", stdout=output)
    return output.getvalue().splitlines()


def test_it_shows_all_keys_in_columns_the_newest_first() -> None:
    plain, _ = Key.objects.issue(label="Ana's laptop")
    Key.objects.note_uses({plain.key_id: datetime(2030, 1, 2, 3, 4, tzinfo=UTC).timestamp()})
    expired, _ = Key.objects.issue(label="guest")
    Key.objects.filter(pk=expired.pk).update(expires=timezone.now() - timedelta(days=1))
    revoked, _ = Key.objects.issue(label="lost")
    revoked.revoke()
    head, *rows = listing()
    assert head.split("  ")[0] == "ID"
    assert [row[: head.index("LABEL")].strip() for row in rows] == [key.key_id for key in (revoked, expired, plain)]
    assert [row[head.index("LABEL") : head.index("STATE")].strip() for row in rows] == ["lost", "guest", "Ana's laptop"]
    assert [row[head.index("STATE") : head.index("OWNER")].strip() for row in rows] == [
        "revoked",
        "expired",
        "active",
    ]
    assert rows[2][head.index("LAST USED") : head.index("EXPIRES")].strip() == "2030-01-02 03:04"
    assert rows[2].endswith("never")


def test_it_shows_no_secret_and_no_digest() -> None:
    key, secret = Key.objects.issue(label="Ana")
    text = "\n".join(listing())
    assert secret not in text
    assert key.digest not in text


def test_without_a_key_it_says_how_to_make_one() -> None:
    assert "createapikey" in listing()[0]
