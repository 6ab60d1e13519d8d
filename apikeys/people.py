"""What of the people who operate the gateway is audited: that staff logged in and out, and what goes with a user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db import transaction
from django.db.models.signals import pre_delete

from apikeys.actor import acting
from apikeys.models import Allowance, Key, KeyRevision
from apikeys.models.revision import Deed
from apikeys.whose import Whose

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.http import HttpRequest


def watch() -> None:
    """Begins to listen; more than once is once."""
    user_logged_in.connect(logged_in, dispatch_uid="apikeys.people")
    user_logged_out.connect(logged_out, dispatch_uid="apikeys.people")
    pre_delete.connect(leaves, sender=get_user_model(), dispatch_uid="apikeys.people")


def logged_in(request: HttpRequest, user: User, **_: Any) -> None:
    """Notes that somebody of the staff has logged in."""
    note("logged in", request, user)


def logged_out(request: HttpRequest, user: User | None, **_: Any) -> None:
    """Notes that somebody of the staff has logged out."""
    if user is not None:
        note("logged out", request, user)


def note(action: str, request: HttpRequest | None, user: User) -> None:
    """Writes an entry about one of the staff; others can't do anything here."""
    if not user.is_staff:
        return
    address = request.META.get("REMOTE_ADDR", "") if request is not None else ""
    with acting(f"user {user.get_username()}", address), transaction.atomic():
        KeyRevision.lock().append([Deed(action, "", {})])


def leaves(instance: User, **_: Any) -> None:
    """Takes a user who is being deleted off keys and limits, in the same transaction, so that the trail has each."""
    with transaction.atomic():
        Key.objects.filter(owner=instance).update(owner=None)
        whose = Whose(Allowance.Kind.OWNER, str(instance.pk), instance.get_username())
        whose.limit(dict.fromkeys(whose.limits))
        user = {"user": (instance.get_username(), None), "staff": (instance.is_staff, None)}
        KeyRevision.lock().append([Deed("user deleted", "", user)])
