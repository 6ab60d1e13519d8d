"""What of the people who operate the gateway is audited: users, groups, what they are granted, and logins.

Signals see every way: the admin, commands, and code.  Never a password or its hash, and of a failed login no name that
no user has, since people type passwords there.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import models, transaction
from django.db.models.signals import m2m_changed, post_save, pre_delete, pre_save

from apikeys.actor import acting
from apikeys.models import Allowance, Key, KeyRevision
from apikeys.models.revision import Deed
from apikeys.whose import Whose

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.contrib.auth.models import User
    from django.http import HttpRequest

UID = "apikeys.people"
# Of these it is told what they were and are; of personal data only that it was changed.
TOLD = {"username": "user", "is_active": "active", "is_staff": "staff", "is_superuser": "superuser"}
CHANGED = ("email", "first_name", "last_name")
BEFORE = "_audit_before"  # where an instance keeps what was stored
LOADED = "_audit_loaded"  # a row of a fixture, as a backup has them: the trail comes with it


class Flood:
    """Lets some failed logins at once into the trail, then one a minute, and counts the others."""

    BURST, SECONDS = 10, 60.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free = float(self.BURST)
        self._at = time.monotonic()
        self._left_out = 0

    def admit(self) -> int | None:
        """Returns how many were left out since the last one, None to leave out this one."""
        with self._lock:
            now = time.monotonic()
            self._free = min(self.BURST, self._free + (now - self._at) / self.SECONDS)
            self._at = now
            if self._free < 1:
                self._left_out += 1
                return None
            self._free -= 1
            left_out, self._left_out = self._left_out, 0
            return left_out


failed_logins = Flood()


def watch() -> None:
    """Connects the receivers of signals (idempotent)."""
    user = get_user_model()
    user_logged_in.connect(logged_in, dispatch_uid=UID)
    user_logged_out.connect(logged_out, dispatch_uid=UID)
    user_login_failed.connect(login_failed, dispatch_uid=UID)
    pre_delete.connect(leaves, sender=user, dispatch_uid=UID)
    pre_delete.connect(group_deleted, sender=Group, dispatch_uid=UID)
    for sender, saved in ((user, user_saved), (Group, group_saved)):
        pre_save.connect(remember, sender=sender, dispatch_uid=UID)
        post_save.connect(saved, sender=sender, dispatch_uid=UID)
    for through, granted in (
        (user.groups.through, groups_changed),
        (user.user_permissions.through, permissions_changed),
        (Group.permissions.through, group_permissions_changed),
    ):
        m2m_changed.connect(granted, sender=through, dispatch_uid=UID)


def write(action: str, changes: dict[str, tuple[object, object]]) -> None:
    """Appends an entry to the trail."""
    with transaction.atomic():
        KeyRevision.lock().append([Deed(action, "", changes)])


# Logins


def logged_in(request: HttpRequest, user: User, **_: Any) -> None:
    """Notes that a member of the staff has logged in."""
    note("logged in", request, user)


def logged_out(request: HttpRequest, user: User | None, **_: Any) -> None:
    """Notes that a member of the staff has logged out."""
    if user is not None:
        note("logged out", request, user)


def note(action: str, request: HttpRequest | None, user: User) -> None:
    """Writes an entry about a member of the staff; others can't do anything here."""
    if user.is_staff:
        with acting(f"user {user.get_username()}", address_of(request)):
            write(action, {})


def login_failed(credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """Notes that a login failed, within bounds: a flood must not fill the trail."""
    left_out = failed_logins.admit()
    if left_out is None:
        return
    typed = str(credentials.get(get_user_model().USERNAME_FIELD, ""))
    exists = "\0" not in typed and get_user_model().objects.filter(username=typed).exists()
    changes: dict[str, tuple[object, object]] = {"user": (None, typed if exists else "unknown")}
    if left_out:
        changes["failed before, without an entry"] = (None, left_out)
    with acting("login", address_of(request)):
        write("login failed", changes)


def address_of(request: HttpRequest | None) -> str:
    """Returns the address of a request, nothing where there is none."""
    return str(request.META.get("REMOTE_ADDR", "")) if request is not None else ""


# Users and groups


def remember(instance: Any, *, raw: bool = False, **_: Any) -> None:
    """Keeps what is stored of a user or a group until it is saved."""
    setattr(instance, LOADED, raw)
    stored = None if raw or instance.pk is None else type(instance).objects.filter(pk=instance.pk).first()
    setattr(instance, BEFORE, stored)


def user_saved(instance: User, *, created: bool, update_fields: Iterable[str] | None = None, **_: Any) -> None:
    """Notes that a user was made, or what of a user was changed; nothing where nothing was."""
    before: User | None = instance.__dict__.pop(BEFORE, None)
    if getattr(instance, LOADED, False):
        return
    name = instance.get_username()
    if created or before is None:
        flags = {TOLD[field]: (None, True) for field in ("is_staff", "is_superuser") if getattr(instance, field)}
        write("user created", {"user": (None, name), **flags})
        return
    written = None if update_fields is None else set(update_fields)
    changed = {
        field: (getattr(before, field), getattr(instance, field))
        for field in (*TOLD, *CHANGED)
        if (written is None or field in written) and getattr(before, field) != getattr(instance, field)
    }
    if changed:
        told: dict[str, tuple[object, object]] = {"user": (None, name)}
        told |= {TOLD[field]: values for field, values in changed.items() if field in TOLD}
        told |= {field: (None, "changed") for field in changed if field in CHANGED}
        write("user changed", told)
    # Django digests a password again at a login when its way of doing so has changed; the password is the same then.
    again = written == {"password"} and getattr(instance, "_password", None) is None
    if before.password != instance.password and not again and (written is None or "password" in written):
        write("password changed", {"user": (None, name)})


def group_saved(instance: Group, *, created: bool, **_: Any) -> None:
    """Notes that a group was made or renamed."""
    before: Group | None = instance.__dict__.pop(BEFORE, None)
    if getattr(instance, LOADED, False):
        return
    if created or before is None:
        write("group created", {"group": (None, instance.name)})
    elif before.name != instance.name:
        write("group changed", {"group": (before.name, instance.name)})


def group_deleted(instance: Group, **_: Any) -> None:
    """Notes which group is deleted, with what it gave to whom."""
    changes: dict[str, tuple[object, object]] = {
        "group": (instance.name, None),
        "permissions": (names(instance.permissions.all()), None),
        "users": (sorted(instance.user_set.values_list("username", flat=True)), None),
    }
    write("group deleted", changes)


def leaves(instance: User, **_: Any) -> None:
    """Takes a user who is being deleted off keys and limits, in the same transaction, so that the trail has each."""
    with transaction.atomic():
        Key.objects.filter(owner=instance).update(owner=None)
        whose = Whose(Allowance.Kind.OWNER, str(instance.pk), instance.get_username())
        whose.limit(dict.fromkeys(whose.limits))
        write("user deleted", {"user": (instance.get_username(), None), "staff": (instance.is_staff, None)})


# What they are granted


def groups_changed(**signal: Any) -> None:
    """Notes which groups a user was put into or taken out of."""
    granted("groups changed", "user", "groups", get_user_model(), **signal)


def permissions_changed(**signal: Any) -> None:
    """Notes which permissions a user was given or deprived of."""
    granted("permissions changed", "user", "user_permissions", get_user_model(), **signal)


def group_permissions_changed(**signal: Any) -> None:
    """Notes which permissions a group was given or deprived of."""
    granted("permissions changed", "group", "permissions", Group, **signal)


def granted(  # noqa: PLR0913 -- a signal's arguments
    name: str,
    kind: str,
    field: str,
    holders: type[Any],
    *,
    instance: Any,
    action: str,
    reverse: bool,
    pk_set: set[Any] | None,
    **_: Any,
) -> None:
    """Notes what each holder of groups or permissions had before and has after a change, from either end of it."""
    if getattr(instance, LOADED, False):
        return
    if action.startswith("pre_"):
        setattr(instance, BEFORE, held(field, holders, instance, pk_set, reverse=reverse))
        return
    before: dict[Any, list[str]] = instance.__dict__.pop(BEFORE, {})
    for pk, had in before.items():
        holder = holders.objects.get(pk=pk)
        has = names(getattr(holder, field).all())
        if has != had:
            write(name, {kind: (None, str(holder)), field.removeprefix("user_"): (had, has)})


def held(
    field: str, holders: type[Any], instance: Any, pk_set: set[Any] | None, *, reverse: bool
) -> dict[Any, list[str]]:
    """Returns what those hold whom a change of groups or permissions concerns, by their numbers."""
    if not reverse:
        concerned = [instance]
    else:
        chosen = {f"{field}__pk": instance.pk} if pk_set is None else {"pk__in": pk_set}
        concerned = list(holders.objects.filter(**chosen))
    return {holder.pk: names(getattr(holder, field).all()) for holder in concerned}


def names(granted: models.QuerySet[Any]) -> list[str]:
    """Returns the names of groups, or of permissions as `apikeys.add_key`, in order."""
    if granted.model is Permission:
        return sorted(f"{app}.{code}" for app, code in granted.values_list("content_type__app_label", "codename"))
    return sorted(granted.values_list("name", flat=True))
