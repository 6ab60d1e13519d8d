"""The buttons for keys: each asks on a page of its own, for one key or for many, and then does it."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from apikeys.actor import acting
from apikeys.admin.forms import RotateForm
from apikeys.admin.issued import issued
from apikeys.admin.steps import DISABLE, ENABLE, REVOKE, STEPS, Step
from apikeys.admin.typed import KeyModelAdmin
from apikeys.delegation import may_change, of_user
from apikeys.models import Key, KeyRevision

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.auth.models import User

    from apikeys.delegation import Authority
    from apikeys.models import KeyQuerySet

KEYS_NAMED = 20
AUTHORITY = "_key_authority"  # where a request keeps it


class Stepping(KeyModelAdmin):
    """What the pages for keys get from here."""

    def get_urls(self) -> list[URLPattern]:
        """Adds the pages that ask; whoever changes something on any of them is named in the audit trail."""
        view = self.admin_site.admin_view
        own = [
            path("<path:object_id>/rotate/", view(self.rotate_view), name="apikeys_key_rotate"),
            *(
                path(f"<path:object_id>/{name}/", view(self.step_view), {"name": name}, name=f"apikeys_key_{name}")
                for name in STEPS
            ),
            *super().get_urls(),
        ]
        return named_pages(own)

    def steps_of(self, request: HttpRequest, key: Key) -> list[Step]:
        """Returns what this user can do to a key."""
        if not self.has_change_permission(request, key):
            return []
        return [step for step in STEPS.values() if step.applies(key)]

    def to_change(self, request: HttpRequest, object_id: str) -> Key:
        """Returns the key of a page; raises Http404, or PermissionDenied where the user may not change it."""
        key: Key | None = self.get_object(request, unquote(object_id))
        if key is None:
            raise Http404
        if not self.has_change_permission(request, key):
            raise PermissionDenied
        return key

    def rotate_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Asks for how long the old secret stays good, then gives the key a new one and shows it."""
        key = self.to_change(request, object_id)
        form = RotateForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            key.rotate(form.duration())
            LogEntry.objects.log_actions(cast("User", request.user).pk, [key], CHANGE, "Rotated.")
            return issued(self, request, key, "The new secret of your API key")
        context = {**self.around(request), "title": f"Rotate {key.label}", "key": key, "form": form}
        return TemplateResponse(request, "admin/apikeys/key/rotate.html", context)

    def step_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """Asks, then does something to one key."""
        key = self.to_change(request, object_id)
        step, page = STEPS[name], reverse("admin:apikeys_key_change", args=[key.pk])
        chosen = step.choose(Key.objects.filter(pk=key.pk))
        if request.method != "POST":
            return self.ask(request, step, chosen) if chosen.exists() else HttpResponseRedirect(page)
        self.do(request, step, chosen)
        return HttpResponseRedirect(page)

    def many(self, request: HttpRequest, step: Step, queryset: KeyQuerySet) -> HttpResponse | None:
        """Asks, then does something to the chosen keys."""
        chosen = step.choose(queryset)
        if not chosen.exists():
            self.message_user(request, step.nothing, messages.WARNING)
            return None
        authority = authority_of(request)
        beyond = [] if authority.is_whole else [key for key in chosen if not may_change(authority, key)]
        if beyond:
            self.message_user(request, self.beyond(beyond), messages.ERROR)
            return None
        if "confirmed" not in request.POST:
            return self.ask(request, step, chosen)
        self.do(request, step, chosen)
        return None

    @admin.action(permissions=["change"], description="Revoke selected API keys")
    def revoke(self, request: HttpRequest, queryset: KeyQuerySet) -> HttpResponse | None:
        """Asks, then revokes the chosen keys."""
        return self.many(request, REVOKE, queryset)

    @admin.action(permissions=["change"], description="Disable selected API keys")
    def disable(self, request: HttpRequest, queryset: KeyQuerySet) -> HttpResponse | None:
        """Asks, then disables the chosen keys."""
        return self.many(request, DISABLE, queryset)

    @admin.action(permissions=["change"], description="Enable selected API keys")
    def enable(self, request: HttpRequest, queryset: KeyQuerySet) -> HttpResponse | None:
        """Asks, then enables the chosen keys."""
        return self.many(request, ENABLE, queryset)

    def ask(self, request: HttpRequest, step: Step, chosen: KeyQuerySet) -> HttpResponse:
        """Shows the page that says what will happen."""
        count = chosen.count()
        context = {
            **self.around(request),
            "title": f"{step.verb} an API key" if count == 1 else f"{step.verb} {count} API keys",
            "step": step,
            "keys": chosen[:KEYS_NAMED],
            "count": count,
            "unnamed": max(0, count - KEYS_NAMED),
            "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
            "select_across": request.POST.get("select_across", "0"),
        }
        return TemplateResponse(request, "admin/apikeys/key/confirm.html", context)

    def do(self, request: HttpRequest, step: Step, chosen: KeyQuerySet) -> None:
        """Does it, and says so."""
        authority = authority_of(request)
        with transaction.atomic():
            KeyRevision.lock()
            keys = list(chosen)
            beyond = [] if authority.is_whole else [key for key in keys if not may_change(authority, key)]
            if beyond:
                self.message_user(request, self.beyond(beyond), messages.ERROR)
                return
            count = step.do(Key.objects.filter(pk__in=[key.pk for key in keys]) if len(keys) == 1 else chosen)
            LogEntry.objects.log_actions(cast("User", request.user).pk, keys, CHANGE, f"{step.verb}d.")
        names = str(keys[0]) if count == 1 else f"{count} keys"
        self.message_user(request, step.done.format(keys=names), messages.SUCCESS)

    @staticmethod
    def beyond(keys: list[Key]) -> str:
        """Says which keys keep an action from being done."""
        names = ", ".join(map(str, keys[:KEYS_NAMED])) + (" …" if len(keys) > KEYS_NAMED else "")
        return f"Nothing was changed: you may not change {names}, which have more than you may give."

    def around(self, request: HttpRequest) -> dict[str, Any]:
        """Returns what every page of the admin is given."""
        return {**self.admin_site.each_context(request), "opts": self.opts, "media": self.media}


def authority_of(request: HttpRequest) -> Authority:
    """Returns what the user of a page may give, found once a request."""
    known: Authority | None = getattr(request, AUTHORITY, None)
    if known is None:
        known = of_user(request.user)
        setattr(request, AUTHORITY, known)
    return known


def named_pages(patterns: list[URLPattern]) -> list[URLPattern]:
    """Makes all these pages act in the name of their user."""
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            pattern.callback = named(pattern.callback)
    return patterns


def named(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Makes a view act in the name of its user."""

    @wraps(view)
    def acts(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with acting(f"user {request.user.get_username()}", request.META.get("REMOTE_ADDR", "")):
            return view(request, *args, **kwargs)

    return acts
