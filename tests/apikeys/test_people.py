"""What of the people who operate the gateway stands in the audit trail."""

from __future__ import annotations

import json
import time
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.db import transaction
from django.test import Client

from apikeys import people
from apikeys.models import Allowance, AuditEntry, Key
from apikeys.whose import whose

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery staple"


@pytest.fixture(autouse=True)
def _no_flood_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "failed_logins", people.Flood())


@pytest.fixture
def ana() -> User:
    return User.objects.create_user("ana", password=PASSWORD, is_staff=True)


def told() -> list[tuple[str, str, str, dict[str, Any]]]:
    entries = AuditEntry.objects.order_by("number")
    return [(entry.actor, entry.action, entry.address, json.loads(entry.changes)) for entry in entries]


def log_in(client: Client, password: str) -> int:
    return client.post("/admin/login/", {"username": "ana", "password": password}).status_code


def test_staff_who_log_in_and_out_are_in_the_trail_with_their_address(client: Client, ana: User) -> None:
    assert log_in(client, PASSWORD) == 302
    assert client.post("/admin/logout/").status_code == 200
    assert told() == [
        ("code", "user created", "", {"user": [None, "ana"], "staff": [None, True]}),
        ("user ana", "logged in", "127.0.0.1", {}),
        ("user ana", "logged out", "127.0.0.1", {}),
    ]
    call_command("verifyaudit", stdout=StringIO())


def test_the_login_of_a_user_who_may_do_nothing_leaves_no_entry(client: Client, ana: User) -> None:
    User.objects.filter(pk=ana.pk).update(is_staff=False)
    ana.refresh_from_db()
    client.force_login(ana)
    client.logout()
    assert [action for _, action, _, _ in told()] == ["user created"]


def test_failed_logins_are_told_with_the_names_of_users_alone(client: Client, ana: User) -> None:
    assert log_in(client, "wrong-9-password") == 200
    client.post("/admin/login/", {"username": "my-9-password", "password": "x"})
    assert told()[1:] == [
        ("login", "login failed", "127.0.0.1", {"user": [None, "ana"]}),
        ("login", "login failed", "127.0.0.1", {"user": [None, "unknown"]}),
    ]
    assert "9-password" not in str(told())
    call_command("verifyaudit", stdout=StringIO())


def test_a_flood_of_failed_logins_does_not_fill_the_trail(ana: User, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(200):
        people.login_failed({"username": f"user{number}"})
    entries = AuditEntry.objects.filter(action="login failed")
    assert entries.count() == people.Flood.BURST
    now = time.monotonic()
    monkeypatch.setattr("apikeys.people.time.monotonic", lambda: now + people.Flood.SECONDS)
    people.login_failed({"username": "ana"})
    last = json.loads(entries[0].changes)
    assert last["user"] == [None, "ana"]
    assert last["failed before, without an entry"] == [None, 200 - people.Flood.BURST]


def test_what_is_done_to_users_and_groups_is_told_by_whatever_way(admin_client: Client) -> None:
    begin = AuditEntry.objects.count()
    call_command("createuser", "ben", "--email", "ben@example.com", stdout=StringIO())
    ben = User.objects.get(username="ben")
    group = Group.objects.create(name="readers")
    group.permissions.set(Permission.objects.filter(codename__in=("view_key", "add_key")))
    group.permissions.remove(Permission.objects.get(codename="add_key"))
    group.user_set.add(ben)
    ben.groups.clear()
    ben.user_permissions.add(Permission.objects.get(codename="view_key"))
    ben.is_superuser = True
    ben.username = "benjamin"
    ben.email = "other@example.com"
    ben.set_password(PASSWORD)
    ben.save()
    group.name = "viewers"
    group.save()
    group.delete()
    found = [(action, changes) for _, action, _, changes in told()[begin:]]
    assert found == [
        ("user created", {"user": [None, "ben"]}),
        ("group created", {"group": [None, "readers"]}),
        (
            "permissions changed",
            {"group": [None, "readers"], "permissions": [[], ["apikeys.add_key", "apikeys.view_key"]]},
        ),
        (
            "permissions changed",
            {
                "group": [None, "readers"],
                "permissions": [["apikeys.add_key", "apikeys.view_key"], ["apikeys.view_key"]],
            },
        ),
        ("groups changed", {"user": [None, "ben"], "groups": [[], ["readers"]]}),
        ("groups changed", {"user": [None, "ben"], "groups": [["readers"], []]}),
        ("permissions changed", {"user": [None, "ben"], "permissions": [[], ["apikeys.view_key"]]}),
        (
            "user changed",
            {"user": ["ben", "benjamin"], "superuser": [False, True], "email": [None, "changed"]},
        ),
        ("password changed", {"user": [None, "benjamin"]}),
        ("group changed", {"group": ["readers", "viewers"]}),
        (
            "group deleted",
            {"group": ["viewers", None], "permissions": [["apikeys.view_key"], None], "users": [[], None]},
        ),
    ]
    assert told()[begin][0].startswith("command createuser by ")
    assert "pbkdf2" not in str(told())
    assert "example.com" not in str(told())
    assert admin_client.get("/admin/apikeys/auditentry/").status_code == 200
    call_command("verifyaudit", stdout=StringIO())


def test_what_changes_nothing_leaves_no_entry(admin_client: Client, ana: User) -> None:
    key, _ = Key.objects.issue(label="one", team="a", limits={"concurrency": 2})
    group = Group.objects.create(name="readers")
    ana.groups.add(group)
    begin = AuditEntry.objects.count()
    ana.save()
    ana.last_login = None
    ana.save(update_fields=["last_login"])
    assert ana.check_password(PASSWORD)
    ana.groups.add(group)
    ana.groups.set([group])
    ana.user_permissions.clear()
    group.save()
    call_command("changeapikey", key.key_id, "--team", "a", "--concurrency", "2", stdout=StringIO())
    Key.objects.filter(pk=key.pk).enable()
    whose("owner:ana").limit({"concurrency": None})
    form = {"label": "one", "team": "a", "scopes": ["inference"], "concurrency": "2", "expires_0": "", "expires_1": ""}
    assert admin_client.post(f"/admin/apikeys/key/{key.pk}/change/", form).status_code == 302
    assert [action for _, action, _, _ in told()[begin:]] == []


def test_the_admin_and_djangos_commands_are_named(admin_client: Client, ana: User) -> None:
    begin = AuditEntry.objects.count()
    new = {"password1": "x-9-y-8-z-7", "password2": "x-9-y-8-z-7", "usable_password": "true"}
    admin_client.post(f"/admin/auth/user/{ana.pk}/password/", new)
    admin_client.post("/admin/auth/group/add/", {"name": "readers"})
    call_command("createsuperuser", "--no-input", "--username", "root", "--email", "", stdout=StringIO())
    actors = [(actor.split(" by ")[0], action) for actor, action, _, _ in told()[begin:]]
    assert actors == [
        ("user admin", "password changed"),
        ("user admin", "group created"),
        ("command createsuperuser", "user created"),
    ]


def test_a_deleted_owner_is_taken_off_keys_and_limits_and_the_trail_has_each(admin_client: Client, ana: User) -> None:
    keys = [Key.objects.issue(label=label, owner=ana)[0] for label in ("one", "two")]
    keys[1].revoke()
    whose("owner:ana").limit({"concurrency": 3})
    before = AuditEntry.objects.count()
    answer = admin_client.post(f"/admin/auth/user/{ana.pk}/delete/", {"post": "yes"})
    assert answer.status_code == 302
    found = told()[before:]
    assert {actor for actor, *_ in found} == {"user admin"}
    assert [(action, changes) for _, action, _, changes in found] == [
        ("changed", {"owner_id": [ana.pk, None]}),
        ("changed", {"owner_id": [ana.pk, None]}),
        ("limited", {"whose": [None, "owner:ana"], "limits": [{"concurrency": 3}, {}]}),
        ("user deleted", {"user": ["ana", None], "staff": [True, None]}),
    ]
    assert set(Key.objects.values_list("owner", flat=True)) == {None}
    assert not Allowance.objects.exists()
    assert admin_client.get("/admin/apikeys/auditentry/").status_code == 200
    call_command("verifyaudit", stdout=StringIO())


def test_several_users_deleted_at_once_are_told_of_one_by_one(admin_client: Client, ana: User) -> None:
    ben = User.objects.create_user("ben")
    Key.objects.issue(label="of Ben", owner=ben)
    form = {"action": "delete_selected", "_selected_action": [ana.pk, ben.pk], "post": "yes"}
    assert admin_client.post("/admin/auth/user/", form).status_code == 302
    assert [action for _, action, _, _ in told()].count("user deleted") == 2
    assert Key.objects.get().owner is None


def test_a_deletion_that_is_rolled_back_leaves_the_keys_their_owner(ana: User) -> None:
    Key.objects.issue(label="one", owner=ana)
    count = AuditEntry.objects.count()

    with transaction.atomic():
        ana.delete()
        transaction.set_rollback(True)
    assert Key.objects.get().owner_id is not None
    assert AuditEntry.objects.count() == count
