"""What of the people who operate the gateway stands in the audit trail."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import transaction
from django.test import Client

from apikeys.models import Allowance, AuditEntry, Key
from apikeys.whose import whose

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery staple"


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
        ("user ana", "logged in", "127.0.0.1", {}),
        ("user ana", "logged out", "127.0.0.1", {}),
    ]
    call_command("verifyaudit", stdout=StringIO())


def test_a_wrong_password_and_a_user_who_may_do_nothing_leave_no_entry(client: Client, ana: User) -> None:
    assert log_in(client, "wrong") == 200
    ana.is_staff = False
    ana.save()
    client.force_login(ana)
    client.logout()
    assert told() == []


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
