"""No user reaches more through the admin than the rule of delegation gives: all forms and actions, as each kind."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Group, Permission, User
from django.db import connection, transaction
from django.test import Client
from django.urls import URLPattern
from django.utils import timezone

from apikeys.admin.people import permissions_of
from apikeys.api.bounds import authority_of as authority_of_key
from apikeys.delegation import OPERATOR, Authority, change_excesses, excesses, of_principal, of_user
from apikeys.models import Allowance, AuditEntry, Key
from apikeys.principal import Principal
from apikeys.whose import whose

pytestmark = pytest.mark.django_db

groups = importlib.import_module("apikeys.migrations.0008_groups")
DATES = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00", "last_login_0": "", "last_login_1": ""}
USER_FIELDS = ("password", "is_active", "is_staff", "username")
MAY_LIMIT = ("apikeys.change_allowance", "auth.delete_user")
PASSWORD = "correct horse battery staple"
# Who tries: permissions, and groups.
ACTORS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "nothing": ((), ()),
    "may issue": (("add_key", "view_key"), ()),
    "may change": (("add_key", "view_key", "change_key"), ()),
    "may grant scopes and set limits": (("add_key", "view_key", "change_key", "grant_scopes", "set_limits"), ()),
    "manages users and groups": (
        tuple(f"{verb}_{what}" for verb in ("view", "add", "change", "delete") for what in ("user", "group")),
        (),
    ),
    "limits teams": (("view_allowance", "change_allowance"), ()),
    "Key issuer": ((), ("Key issuer",)),
    "Operator": ((), ("Operator",)),
    "Auditor": ((), ("Auditor",)),
}


@pytest.fixture
def world(ready_made_groups: None) -> dict[str, Any]:
    """People with more and with less, their keys, and limits."""
    root = User.objects.create_superuser("root", password=PASSWORD)
    ben = User.objects.create_user("ben", password=PASSWORD)
    whose("team:sales").limit({"tokens_per_day": 1000})
    whose("owner:ben").limit({"tokens_per_day": 1000})
    made = {
        "manager": Key.objects.issue(label="manager", owner=root, scopes="inference,manage,keys")[0],
        "of root": Key.objects.issue(label="of root", owner=root)[0],
        "of nobody": Key.objects.issue(label="of nobody")[0],
        "of ben": Key.objects.issue(label="of ben", owner=ben, team="sales", limits={"concurrency": 1})[0],
    }
    Key.objects.filter(label="of root").disable()
    return {"root": root, "ben": ben, **made}


@pytest.fixture
def ready_made_groups(db: None) -> None:
    """The groups of the migration, also where another test has emptied the database."""
    groups.make_groups(MigrationApps(), SimpleNamespace(connection=connection))


class MigrationApps:
    """The apps of today, for a migration's function."""

    def get_app_config(self, label: str) -> Any:
        return type("Config", (), {"label": label, "models_module": True, "get_models": staticmethod(list)})()

    def get_model(self, *names: str) -> Any:
        return apps.get_model(*names)


def actor(name: str) -> User:
    """A user of the staff with a key of their own that is limited."""
    permissions, in_groups = ACTORS[name]
    user = User.objects.create_user("actor", password=PASSWORD, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    user.groups.set(Group.objects.filter(name__in=in_groups))
    assert user.groups.count() == len(in_groups)
    Key.objects.issue(label="own", owner=user, limits={"tokens_per_day": 10})
    return User.objects.get(pk=user.pk)


def pages() -> Iterator[tuple[str, type[Any], str]]:
    """Every address of the admin with its model, and with an object in it; one object where they are all alike."""
    for model, pages_of in admin.site._registry.items():
        base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        objects = [str(pk) for pk in model._default_manager.values_list("pk", flat=True)]
        if model is Allowance:
            objects = ["team:sales", "owner:actor"]
        elif model not in (Key, User):
            objects = objects[:2]
        for pattern in pages_of.get_urls():
            if not isinstance(pattern, URLPattern):
                continue
            route = re.sub(r"\(\?P<\w+>[^)]*\)|<[\w:]+>", "<object>", str(pattern.pattern).strip("^$")).replace(
                "\\", ""
            )
            for each in objects if "<object>" in route else ("",):
                yield base + route.replace("<object>", quote(each)), model, each


def key_form(key: Key | None) -> dict[str, Any]:
    """A form as it stands: what a browser would send where nothing was changed."""
    if key is None:
        return {"label": "new", "expires_0": "", "expires_1": "", "scopes": ["inference"], "owner": "", "team": ""}
    limits = {name: str(amount) for name, amount in key.limits.items()}
    return {
        **key_form(None),
        "label": key.label,
        "owner": str(key.owner_id or ""),
        "team": key.team,
        "scopes": key.scopes.split(","),
        **limits,
    }


def attacks(actor: User, world: dict[str, Any]) -> dict[type[Any] | None, list[dict[str, Any]]]:
    """What may be added to the forms of a model to get more; under None to those of all."""
    everything = list(Permission.objects.values_list("pk", flat=True))
    keys = list(Key.objects.values_list("pk", flat=True))
    chosen = {"confirmed": "yes", "post": "yes"}
    person = {"username": "actor", "is_staff": "on", "is_active": "on", **DATES}
    return {
        None: [{}, {**chosen, "action": "delete_selected", "_selected_action": everything}],
        Key: [
            {"scopes": ["inference", "manage", "keys", "metrics"]},
            {"owner": str(actor.pk)},
            {"owner": str(world["root"].pk)},
            {"owner": ""},
            {"team": "sales"},
            {"team": ""},
            {"tokens_per_day": "1000000", "concurrency": "50"},
            dict.fromkeys(Allowance.Dimension.values, ""),
            {"grace": "24h", "confirmed": "yes"},
            *({**chosen, "action": name, "_selected_action": keys} for name in ("revoke", "disable", "enable")),
        ],
        Allowance: [{"whose": "owner:actor", "tokens_per_day": "1000000"}],
        User: [
            {**person, "is_superuser": "on"},
            {**person, "user_permissions": everything},
            {**person, "groups": list(Group.objects.values_list("pk", flat=True))},
            {
                **person,
                "username": "renamed",
                "password1": "x-9-y-8-z-7",
                "password2": "x-9-y-8-z-7",
                "usable_password": "true",
            },
        ],
        Group: [{"name": "Key issuer", "permissions": everything}, {"name": "new", "permissions": everything}],
    }


def state() -> dict[str, Any]:
    """All that could be reached."""
    return {
        "keys": {key.pk: key for key in Key.objects.all()},
        "limits": Allowance.all_of("key"),
        "shared": {kind: Allowance.all_of(kind) for kind in ("owner", "team")},
        "users": {user.pk: user for user in User.objects.all()},
        "permissions": {user.pk: set(permissions_of(user)) for user in User.objects.all()},
        "groups": {group.pk: set(group.permissions.all()) for group in Group.objects.all()},
        "audit": list(AuditEntry.objects.order_by("number").values()),
    }


def reached(user: User, authority: Authority, before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """Yields what a user got by a request that the user should not have got."""
    yield from keys_reached(user, authority, before, after)
    yield from users_reached(user, before, after)
    if after["shared"] != before["shared"] and not any(map(user.has_perm, MAY_LIMIT)):
        yield "changed limits of owners or teams"
    for pk, has in after["groups"].items():
        if has - before["groups"].get(pk, set()) - before["permissions"][user.pk]:
            yield f"gave a group {has}"
    if after["audit"][: len(before["audit"])] != before["audit"]:
        yield "rewrote the audit trail"


def keys_reached(user: User, authority: Authority, before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """Yields which keys a user issued or changed that the user should not have."""
    for pk, key in after["keys"].items():
        old = before["keys"].get(pk)
        limits, old_limits = (each["limits"].get(key.key_id, {}) for each in (after, before))
        if old is None:
            beyond = list(excesses(authority, key, limits))
            if beyond or not user.has_perm("apikeys.add_key"):
                yield f"issued {key} with {beyond}"
        # The owner who is deleted is taken off keys.
        elif old.owner_id in after["users"] and (key.revision, key.digest) != (old.revision, old.digest):
            beyond = [*excesses(authority, old, old_limits), *change_excesses(authority, key, old_limits, limits)]
            if beyond or not user.has_perm("apikeys.change_key"):
                yield f"changed {key} with {beyond}"
    if set(before["keys"]) - set(after["keys"]):
        yield "deleted a key"


def users_reached(user: User, before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """Yields which users a user made, changed or deleted that the user should not have."""
    own = before["permissions"][user.pk]
    for pk, other in after["users"].items():
        old = before["users"].get(pk)
        gained = after["permissions"][pk] - before["permissions"].get(pk, set())
        if gained - own or (other.is_superuser and not (old and old.is_superuser)):
            yield f"gave {other} {gained}"
        changed = old is not None and any(getattr(old, name) != getattr(other, name) for name in USER_FIELDS)
        if changed and (other.is_superuser or before["permissions"][pk] - own):
            yield f"changed {other}, who has more"
        if (old is None and not user.has_perm("auth.add_user")) or (changed and not user.has_perm("auth.change_user")):
            yield f"made or changed {other}"
    for pk, old in before["users"].items():
        if pk not in after["users"] and (old.is_superuser or before["permissions"][pk] - own):
            yield f"deleted {old}"


@pytest.mark.parametrize("name", ACTORS)
def test_no_form_and_no_action_gives_more_than_the_rule(world: dict[str, Any], name: str) -> None:
    user = actor(name)
    authority = of_user(user)
    client = Client()
    client.force_login(user)
    found: list[str] = []
    tried = 0
    before = state()
    by_model = attacks(user, world)
    for address, model, each in list(pages()):
        key = before["keys"].get(int(each)) if model is Key and each else None
        for extra in (*by_model[None], *by_model.get(model, ())):
            with transaction.atomic():
                form = key_form(key) if model is Key else {}
                answer = client.post(address, {**form, **extra})
                assert answer.status_code < 500, (address, extra)
                if answer.status_code != 403:
                    found += [f"{extra} at {address}: {more}" for more in reached(user, authority, before, state())]
                transaction.set_rollback(True)
            tried += 1
    assert tried > 100
    assert found == []


def test_the_walk_would_see_what_a_superuser_does(world: dict[str, Any]) -> None:
    actor("nothing")
    before = state()
    client = Client()
    client.force_login(world["root"])
    client.post("/admin/apikeys/key/add/", {**key_form(None), "scopes": ["manage"]})
    client.post(f"/admin/apikeys/key/{world['manager'].pk}/rotate/", {"grace": "24h"})
    client.post("/admin/apikeys/allowance/team:sales/change/", {"tokens_per_day": "5"})
    user = User.objects.get(username="actor")
    user.user_permissions.set(Permission.objects.filter(codename="view_key"))
    found = list(reached(User.objects.get(username="ben"), of_user(world["ben"]), before, state()))
    assert len(found) == 4, found


# What each may do


def issue(client: Client, **fields: Any) -> Key | None:
    last = Key.objects.first()
    client.post("/admin/apikeys/key/add/", {**key_form(None), **fields})
    found = Key.objects.first()
    return None if found == last else found


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_who_may_issue_alone_issues_for_inference_and_for_themselves(world: dict[str, Any]) -> None:
    user = actor("may issue")
    client = logged_in(user)
    key = issue(client, tokens_per_day="5")
    assert key is not None
    assert (key.scopes, key.owner, key.team, key.limits) == ("inference", user, "", {"tokens_per_day": 5})
    for more in (
        {"scopes": ["keys"]},
        {"owner": str(world["ben"].pk)},
        {"team": "sales"},
        {"tokens_per_day": "11"},
        {"tokens_per_day": ""},
    ):
        assert issue(client, **{"tokens_per_day": "5", **more}) is None, more
    text = client.get("/admin/apikeys/key/add/").content.decode()
    assert 'value="manage"' not in text
    assert "ben" not in text


def test_a_team_of_ones_own_is_kept(world: dict[str, Any]) -> None:
    user = User.objects.create_user("cia", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=("add_key", "view_key")))
    Key.objects.issue(label="one", owner=user, team="sales")
    key = issue(logged_in(user))
    assert key is not None
    assert (key.owner, key.team) == (user, "sales")


def test_a_key_issuer_issues_for_others_and_no_more_than_inference(world: dict[str, Any]) -> None:
    client = logged_in(actor("Key issuer"))
    key = issue(client, owner=str(world["ben"].pk), team="sales", tokens_per_day="5")
    assert key is not None
    assert (key.owner, key.team, key.scopes) == (world["ben"], "sales", "inference")
    assert issue(client, scopes=["inference", "metrics"]) is None
    for name, expected in (("of ben", 200), ("manager", 403)):
        address = f"/admin/apikeys/key/{world[name].pk}/rotate/"
        assert client.post(address, {"grace": "24h"}).status_code == expected
    assert client.get("/admin/apikeys/allowance/").status_code == 403


def test_a_selection_with_one_key_beyond_is_left_alone_whole(world: dict[str, Any]) -> None:
    client = logged_in(actor("Key issuer"))
    chosen = [world["of ben"].pk, world["manager"].pk]
    answer = client.post(
        "/admin/apikeys/key/",
        {"action": "revoke", "_selected_action": chosen, "confirmed": "yes"},
        follow=True,
    )
    assert "you may not change manager" in answer.content.decode()
    assert not Key.objects.exclude(revoked_at=None).exists()
    client.post("/admin/apikeys/key/", {"action": "revoke", "_selected_action": chosen[:1], "confirmed": "yes"})
    assert list(Key.objects.exclude(revoked_at=None)) == [world["of ben"]]


def test_an_operator_manages_keys_limits_and_users_and_makes_no_superuser(world: dict[str, Any]) -> None:
    client = logged_in(actor("Operator"))
    key = issue(client, scopes=["inference", "manage", "keys", "metrics"])
    assert key is not None
    client.post("/admin/apikeys/allowance/team:sales/change/", {"tokens_per_day": "5"})
    assert whose("team:sales").limits == {"tokens_per_day": 5}
    client.post(
        "/admin/auth/user/add/",
        {"username": "dan", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD},
    )
    dan = User.objects.get(username="dan")
    issuers = Group.objects.get(name="Key issuer")
    fields = {"username": "dan", "is_staff": "on", "is_active": "on", "is_superuser": "on", "groups": [issuers.pk]}
    answer = client.post(f"/admin/auth/user/{dan.pk}/change/", {**fields, **DATES})
    assert answer.status_code == 302, answer.content.decode()
    dan.refresh_from_db()
    assert (dan.is_staff, dan.is_superuser, list(dan.groups.all())) == (True, False, [issuers])
    root = f"/admin/auth/user/{world['root'].pk}"
    assert client.post(f"{root}/password/", {"password1": PASSWORD, "password2": PASSWORD}).status_code == 403
    assert client.get("/admin/apikeys/auditentry/").status_code == 200


def test_an_auditor_looks_at_everything_and_changes_nothing(world: dict[str, Any]) -> None:
    client = logged_in(actor("Auditor"))
    for what in ("apikeys/key", "apikeys/auditentry", "apikeys/allowance", "usage/usageday", "auth/user", "auth/group"):
        assert client.get(f"/admin/{what}/").status_code == 200, what
    assert issue(client) is None


# The migration


def test_who_could_change_keys_keeps_what_that_was(world: dict[str, Any]) -> None:
    ana = User.objects.create_user("ana", is_staff=True)
    ana.user_permissions.set(Permission.objects.filter(codename__in=("change_key", "view_key")))
    ben = User.objects.create_user("eva", is_staff=True)
    ben.user_permissions.set(Permission.objects.filter(codename__in=("add_key", "view_key")))
    Group.objects.get(name="Auditor").permissions.clear()
    groups.make_groups(MigrationApps(), SimpleNamespace(connection=connection))
    has = set(ana.user_permissions.values_list("codename", flat=True))
    assert has == {"change_key", "view_key", "set_limits", "assign_owner", "assign_team"}
    assert ben.user_permissions.count() == 2
    assert not Group.objects.get(name="Auditor").permissions.exists(), "a group that is there stays as it is"


# The rule


def test_the_authority_of_a_key_of_the_api_is_the_same_rule() -> None:
    key = Key(label="x", scopes="inference", team="a", owner_id=1, models="mistral", expires=timezone.now())
    principal = Principal("id", "label", scopes=frozenset({"inference", "keys"}))
    assert of_principal(principal, {}) == Authority(scopes=principal.scopes, may_unattend=False)
    assert list(excesses(OPERATOR, key, {})) == []
    assert list(excesses(of_principal(principal, {}), key, {})) == []
    bound = replace(principal, team="b", owner_id=2, models=("llama3",))
    assert list(excesses(of_principal(bound, {"concurrency": 1}), key, {})) == [
        "models beyond llama3",
        "concurrency above 1",
        "another team than b",
        "another owner",
    ]
    late = replace(principal, expires_at=(timezone.now() - timedelta(days=1)).timestamp())
    assert list(excesses(of_principal(late, {}), key, {})) == ["an end after its own"]
    assert authority_of_key(principal) == of_principal(principal, {})


@pytest.mark.parametrize("bound", [{"raises_limits": False}, {"limits": {"concurrency": 2}}])
def test_a_stored_limit_is_lowered_and_not_raised(bound: dict[str, Any]) -> None:
    authority = Authority(**bound)
    for after, expected in (({"concurrency": 2}, []), ({"concurrency": 1}, [])):
        assert list(change_excesses(authority, Key(), {"concurrency": 2}, after)) == expected
    for after in ({"concurrency": 3}, {}):
        assert list(change_excesses(authority, Key(), {"concurrency": 2}, after)) == ["concurrency above 2"]
