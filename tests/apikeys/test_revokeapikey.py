"""`manage.py revokeapikey`."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apikeys.models import Key

pytestmark = pytest.mark.django_db


def revoke(key_id: str) -> str:
    output = StringIO()
    call_command("revokeapikey", key_id, stdout=output)
    return output.getvalue()


def test_it_revokes_by_id_and_says_which_key_it_was() -> None:
    key, _ = Key.objects.issue(label="Ana")
    other, _ = Key.objects.issue(label="Ben")
    output = revoke(key.key_id)
    assert f"Revoked Ana ({key.key_id})" in output
    assert {row.label: row.state for row in Key.objects.all()} == {"Ana": "revoked", "Ben": "active"}
    assert other.state == "active"


def test_a_whole_key_is_understood_and_never_repeated() -> None:
    key, secret = Key.objects.issue(label="Ana")
    output = revoke(f" {secret}\n")
    key.refresh_from_db()
    assert key.state == "revoked"
    assert secret.split("_")[2] not in output


def test_revoking_twice_says_that_nothing_was_left_to_do() -> None:
    key, _ = Key.objects.issue(label="Ana")
    revoke(key.key_id)
    assert "was revoked before" in revoke(key.key_id)


def test_an_unknown_id_is_an_error_that_names_it() -> None:
    with pytest.raises(CommandError, match=r"000000000000.*listapikeys"):
        revoke("000000000000")


@pytest.mark.parametrize("typed", ["sk-verysecret", "ollama_verysecret", "", "12"])
def test_what_is_no_id_is_refused_and_not_repeated(typed: str) -> None:
    with pytest.raises(CommandError, match="no key id") as error:
        revoke(typed)
    assert not typed or typed not in str(error.value).replace("12 letters", "")
