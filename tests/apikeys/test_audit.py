"""The audit trail: what it says, and that nobody changes it unseen."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import httpx
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from apikeys.actor import acting
from apikeys.models import AuditEntry, Key, KeyRevision, TrailIsKept
from tests.harness import ADMIN_PASSWORD, GatewayServer

pytestmark = pytest.mark.django_db


def verify(*options: str) -> str:
    out, err = StringIO(), StringIO()
    call_command("verifyaudit", *options, stdout=out, stderr=err)
    return out.getvalue()


def flaws(*options: str) -> str:
    err = StringIO()
    with pytest.raises(CommandError, match="not whole"):
        call_command("verifyaudit", *options, stdout=StringIO(), stderr=err)
    return err.getvalue()


def told() -> list[tuple[str, dict[str, Any]]]:
    return [(entry.action, json.loads(entry.changes)) for entry in AuditEntry.objects.order_by("number")]


@pytest.fixture
def life() -> Key:
    """A key with a history of six entries."""
    with acting("user ana", "192.0.2.7"):
        key, _ = Key.objects.issue(label="Ana", limits={"concurrency": 2})
        key.models = "mistral"
        key.save()
        key.rotate(timedelta(hours=1))
        Key.objects.filter(pk=key.pk).disable()
        Key.objects.filter(pk=key.pk).enable()
        key.revoke()
    return key


def test_it_says_who_did_what_to_which_key_from_where_before_and_after(life: Key) -> None:
    assert {(entry.actor, entry.address, entry.key_id) for entry in AuditEntry.objects.all()} == {
        ("user ana", "192.0.2.7", life.key_id)
    }
    actions = told()
    assert [action for action, _ in actions] == ["issued", "changed", "rotated", "disabled", "enabled", "revoked"]
    assert actions[0][1] == {"label": [None, "Ana"], "limits": [None, {"concurrency": 2}]}
    assert actions[1][1] == {"models": ["", "mistral"]}
    assert set(actions[2][1]) == {"secret_number", "old_until"}
    assert actions[3][1] == {"enabled": [True, False]}


def test_it_holds_no_secret_and_no_digest(life: Key) -> None:
    text = str(list(AuditEntry.objects.values()))
    assert life.secret not in text
    assert life.digest not in text
    assert life.secret.split("_")[2] not in text


def test_what_is_done_to_many_is_told_of_each() -> None:
    made = [Key.objects.issue(label=str(number))[0].key_id for number in range(3)]
    Key.objects.all().revoke()
    last = AuditEntry.objects.filter(action="revoked").order_by("number")
    assert {entry.key_id for entry in last} == set(made)
    assert KeyRevision.seen() == last[2].number == 6


def test_what_is_rolled_back_leaves_no_entry_and_no_gap(life: Key) -> None:
    from django.db import transaction

    with transaction.atomic():
        Key.objects.issue(label="never")
        transaction.set_rollback(True)
    Key.objects.issue(label="after")
    assert "7 entries" in verify()


@pytest.mark.parametrize(
    "change", [lambda entry: entry.save(), lambda entry: entry.delete()], ids=["changed", "deleted"]
)
def test_no_entry_is_changed_or_deleted_by_code(life: Key, change: Callable[[AuditEntry], object]) -> None:
    with pytest.raises(TrailIsKept):
        change(AuditEntry.objects.first())


def test_a_whole_trail_is_said_to_be_whole(life: Key) -> None:
    assert "6 entries" in verify()
    head = KeyRevision.objects.get()
    Key.objects.issue(label="later")
    assert "7 entries" in verify("--end", head.end)


def sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize(
    ("tamper", "says"),
    [
        ("UPDATE apikeys_auditentry SET actor = 'user eve' WHERE number = 3", "Entry 3 was changed"),
        ("UPDATE apikeys_auditentry SET changes = '{}' WHERE number = 2", "Entry 2 was changed"),
        ("UPDATE apikeys_auditentry SET address = '' WHERE number = 1", "Entry 1 was changed"),
        ("UPDATE apikeys_auditentry SET \"when\" = '2020-01-01 00:00:00' WHERE number = 4", "Entry 4 was changed"),
        ("DELETE FROM apikeys_auditentry WHERE number = 3", "Entry 3 is missing"),
        ("DELETE FROM apikeys_auditentry WHERE number IN (3, 4)", "Entries 3 to 4 are missing"),
        (
            "DELETE FROM apikeys_auditentry WHERE number = 1",
            "Entry 2 was changed, or the entries before it",
        ),
        ("DELETE FROM apikeys_auditentry WHERE number = 6", "cut off"),
        ("DELETE FROM apikeys_auditentry", "cut off"),
        ("UPDATE apikeys_auditentry SET number = 9 WHERE number = 6", "are missing"),
    ],
)
def test_a_changed_missing_or_cut_entry_is_found(life: Key, tamper: str, says: str) -> None:
    sql(tamper)
    assert says in flaws()


def test_a_cut_that_covers_its_traces_in_the_database_shows_against_the_log(life: Key) -> None:
    end = KeyRevision.objects.get().end
    before = AuditEntry.objects.get(number=4)
    sql("DELETE FROM apikeys_auditentry WHERE number > 4")
    sql(f"UPDATE apikeys_keyrevision SET latest = 4, seal = '{before.seal}'")  # noqa: S608 -- our own
    assert "was changed after entry 4" in flaws()
    sql("UPDATE apikeys_key SET revision = 4")
    assert "is whole" in verify()
    assert "the log named as the end" in flaws("--end", end)


def test_an_entry_that_is_sealed_without_the_pepper_is_found(life: Key, settings: Any) -> None:
    real, settings.KEY_PEPPER = settings.KEY_PEPPER, "eve's pepper"
    Key.objects.issue(label="forged")
    settings.KEY_PEPPER = real
    assert "Entry 7 was sealed under a pepper that is not known" in flaws()


def test_the_trail_outlives_a_change_of_the_pepper(life: Key, settings: Any) -> None:
    settings.KEY_PEPPER_FALLBACKS = [settings.KEY_PEPPER]
    settings.KEY_PEPPER = "another"
    Key.objects.issue(label="later")
    assert "7 entries" in verify()


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_the_whole_trail_can_be_exported(life: Key, admin_client: Client, kind: str) -> None:
    answer = admin_client.get(f"/admin/apikeys/auditentry/export.{kind}")
    text = b"".join(answer.streaming_content).decode()
    assert f'filename="audit.{kind}"' in answer["Content-Disposition"]
    if kind == "json":
        assert [entry["number"] for entry in json.loads(text)] == [1, 2, 3, 4, 5, 6, 7, 8]
        assert json.loads(text)[-1]["action"] == "logged in"
    else:
        assert len(text.splitlines()) == 9


def test_a_cell_that_a_spreadsheet_would_run_is_exported_as_text(admin_client: Client) -> None:
    with acting("=cmd|' /C calc'!A0"):
        Key.objects.issue(label="x")
    text = b"".join(admin_client.get("/admin/apikeys/auditentry/export.csv").streaming_content).decode()
    assert "'=cmd" in text


def test_the_trail_is_shown_to_those_who_may_see_it(life: Key, admin_client: Client, client: Client) -> None:
    shown = admin_client.get(f"/admin/apikeys/auditentry/?q={life.key_id}").content.decode()
    assert shown.count("user ana") == 6
    assert client.get("/admin/apikeys/auditentry/").status_code == 302
    for url in ("add/", "1/delete/"):
        assert admin_client.post(f"/admin/apikeys/auditentry/{url}").status_code == 403


def test_an_export_under_the_real_server_is_streamed_without_a_warning(gateway: GatewayServer) -> None:
    with httpx.Client(base_url=gateway.url, headers={"Referer": gateway.url}) as browser:
        browser.get("/admin/login/")
        form = {"username": "admin", "password": ADMIN_PASSWORD, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        assert browser.post("/admin/login/", data=form).status_code == 302
        entries = browser.get("/admin/apikeys/auditentry/export.json").json()
        lines = browser.get("/admin/apikeys/auditentry/export.csv").text.splitlines()
    assert [entry["number"] for entry in entries] == list(range(1, len(entries) + 1))
    assert len(lines) == len(entries) + 1
    assert "StreamingHttpResponse" not in gateway.log()
