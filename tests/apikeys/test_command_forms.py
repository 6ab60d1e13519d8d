"""Commands for programs: JSON wherever rows are printed, filters, users, and errors for what is not there."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from apikeys.models import AuditEntry, Key
from tests.harness import GatewayServer


def said(command: str, *arguments: str) -> str:
    out = StringIO()
    call_command(command, *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def data(command: str, *arguments: str) -> Any:
    return json.loads(said(command, *arguments, "--json"))


@pytest.fixture
def keys(db: None) -> dict[str, Key]:
    ana = User.objects.create_user("ana")
    soon = timezone.now() + timedelta(days=3)
    Key.objects.issue(label="Ana's laptop", owner=ana, team="research")
    Key.objects.issue(label="Batch", team="research", expires=soon, scopes="inference,metrics")
    Key.objects.issue(label="Old", enabled=False)
    Key.objects.issue(label="Gone", expires=soon)[0].revoke()
    return {key.label: key for key in Key.objects.all()}


@pytest.mark.parametrize(
    ("filters", "labels"),
    [
        (("--team", "research"), ["Batch", "Ana's laptop"]),
        (("--team", "-"), ["Gone", "Old"]),
        (("--owner", "ana"), ["Ana's laptop"]),
        (("--owner", "-"), ["Gone", "Old", "Batch"]),
        (("--state", "disabled"), ["Old"]),
        (("--state", "active"), ["Batch", "Ana's laptop"]),
        (("--label", "LAPTOP"), ["Ana's laptop"]),
        (("--scope", "metrics"), ["Batch"]),
        (("--expiring", "7d"), ["Batch"]),
        (("--expiring", "1d"), []),
        (("--unused", "1d"), ["Gone", "Old", "Batch", "Ana's laptop"]),
        (("--team", "research", "--scope", "metrics", "--state", "active"), ["Batch"]),
    ],
)
def test_keys_are_filtered(keys: dict[str, Key], filters: tuple[str, ...], labels: list[str]) -> None:
    assert [key["label"] for key in data("listapikeys", *filters)] == labels
    table = said("listapikeys", *filters)
    assert all(label in table for label in labels)
    assert "No key matches" in table or labels


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("listapikeys", ("--owner", "nobody")),
        ("listapikeys", ("--expiring", "soon")),
        ("listapikeys", ("--expiring", "999999999w")),
        ("listapikeys", ("--state", "lost")),
        ("listapikeys", ("--scope", "root")),
        ("usage", ("--key", "123456789abc")),
        ("usage", ("--key", "short")),
        ("usage", ("--owner", "nobody")),
        ("createuser", ("ana",)),
        ("createuser", ("two words",)),
        ("createuser", ("ben", "--group", "Nobody")),
        ("createuser", ("ben", "--email", "no address")),
        ("createuser", ("ben", "--ask-password")),
    ],
)
def test_what_is_not_there_is_an_error(keys: dict[str, Key], command: str, arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError) as error:
        said(command, *arguments)
    assert "\n" not in str(error.value)
    assert User.objects.count() == 1


def test_usage_of_an_owner_by_name_and_by_number(keys: dict[str, Key]) -> None:
    ana = User.objects.get()
    for owner in ("ana", str(ana.pk), "987654"):
        assert data("usage", "--owner", owner) == []
    assert data("usage", "--key", keys["Old"].key_id, "--team", "research") == []


def test_rows_are_json_where_that_is_asked_for(keys: dict[str, Key]) -> None:
    assert data("limit") == []
    limited = data("limit", "team:research", "tokens_per_day=5")
    assert limited == {"whose": "team:research", "limits": {"tokens_per_day": 5}}
    assert data("limit") == [limited]
    made = data("createapikey", "fresh")
    assert (made["label"], made["state"]) == ("fresh", "active")
    rotated = data("rotateapikey", made["id"])
    assert rotated["id"] == made["id"]
    assert rotated["key"] != made["key"]


def test_doctor_and_import_write_json(make_gateway: Callable[..., GatewayServer], tmp_path: Any) -> None:
    server = make_gateway()
    findings = json.loads(server.manage("doctor", "--json", check=False).stdout)
    assert {"level", "subject", "text"} == set(findings[0])
    (tmp_path / "keys.csv").write_text("label\nana\n")
    (row,) = json.loads(server.manage("importapikeys", str(tmp_path / "keys.csv"), "--yes", "--json").stdout)
    assert set(row) == {"id", "label", "key"}
    headers = {"Authorization": f"Bearer {row['key']}"}
    assert httpx.get(f"{server.url}/api/tags", headers=headers).status_code == 200


def test_a_user_of_a_group_logs_in_with_the_password_that_is_shown(keys: dict[str, Key], client: Client) -> None:
    Group.objects.get_or_create(name="Key issuer")
    made = data("createuser", "ben", "--group", "Key issuer", "--email", "ben@example.com")
    user = User.objects.get(username="ben")
    assert (user.is_staff, user.is_superuser, user.email) == (True, False, "ben@example.com")
    assert [group.name for group in user.groups.all()] == made["groups"] == ["Key issuer"]
    answer = client.post("/admin/login/", {"username": "ben", "password": made["password"]})
    assert answer.status_code == 302
    assert made["password"] not in str(list(AuditEntry.objects.values()))
    assert said("createuser", "cia", "--group", "Key issuer", "--quiet").strip()


def test_a_user_without_a_group_owns_keys_and_logs_in_nowhere(keys: dict[str, Key]) -> None:
    assert "owns keys" in said("createuser", "dan")
    dan = User.objects.get(username="dan")
    assert not dan.is_staff
    assert not dan.has_usable_password()
    said("createapikey", "of dan", "--owner", "dan")
    assert Key.objects.get(owner=dan).label == "of dan"


def test_a_password_that_is_asked_for_is_checked_and_not_shown(
    keys: dict[str, Key], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    for typed in (["password", "password"], ["one-9-good-8-word", "another-9-word"]):
        answers = iter(typed)
        monkeypatch.setattr("getpass.getpass", lambda _prompt, answers=answers: next(answers))
        with pytest.raises(CommandError):
            said("createuser", "eva", "--ask-password")
    monkeypatch.setattr("getpass.getpass", lambda _prompt: "one-9-good-8-word")
    assert "one-9-good-8-word" not in said("createuser", "eva", "--ask-password")
    assert User.objects.get(username="eva").check_password("one-9-good-8-word")


def test_no_message_sends_anybody_to_make_a_superuser(keys: dict[str, Key]) -> None:
    for command, arguments in (
        ("createapikey", ("x", "--owner", "nobody")),
        ("limit", ("owner:nobody", "concurrency=1")),
    ):
        with pytest.raises(CommandError, match=r"manage\.py createuser"):
            said(command, *arguments)


@pytest.mark.parametrize(("typed", "deletes"), [("y", True), ("n", False), ("", False)])
def test_pruneusage_asks_at_a_terminal(db: None, monkeypatch: pytest.MonkeyPatch, typed: str, deletes: bool) -> None:
    asked: list[str] = []
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda prompt: asked.append(prompt) or typed)
    if deletes:
        assert "0 records" in said("pruneusage")
    else:
        with pytest.raises(CommandError, match="Nothing was deleted"):
            said("pruneusage")
    assert len(asked) == 1
    assert "0 records" in said("pruneusage", "--yes")
    assert "0 records" in said("pruneusage", "--no-input")
    assert len(asked) == 1


def test_pruneusage_goes_on_where_nobody_can_be_asked(db: None) -> None:
    assert "0 records" in said("pruneusage")
