"""The operator's pages for keys: issue, look up, revoke."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.utils import unquote
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from apikeys.models import Key, RevocationIsFinal
from apikeys.snippets import curl

if TYPE_CHECKING:
    from datetime import datetime

    from django.contrib.auth.models import User
    from django.forms import ModelForm
    from django.utils.safestring import SafeString

    from apikeys.models import KeyQuerySet

    KeyModelAdmin = admin.ModelAdmin[Key]
else:
    KeyModelAdmin = admin.ModelAdmin  # takes no type argument at run time

KEYS_NAMED = 20


@admin.register(Key)
class KeyAdmin(KeyModelAdmin):
    """Issues and revokes keys.  A revoked key can only be looked at; none is ever deleted."""

    list_display = ("label", "key_id", "state_badge", "created_ago", "last_used_ago", "expires_at", "created_by")
    list_select_related = ("created_by",)
    search_fields = ("label", "key_id")
    readonly_fields = ("key_id", "state_badge", "created", "created_by", "last_used_ago", "revoked_at")
    actions = ("revoke",)

    class Media:
        """The badges' colours."""

        css = {"all": ["apikeys/keys.css"]}

    def get_fields(self, _request: HttpRequest, obj: Key | None = None) -> tuple[str, ...]:
        """Asks for little when a key is issued, shows everything later."""
        if obj is None:
            return ("label", "expires")
        end = ("expires",) if obj.revoked_at is None else ("expires", "revoked_at")
        return ("label", *self.readonly_fields[:-1], *end)

    # Permissions

    def has_change_permission(self, request: HttpRequest, obj: Key | None = None) -> bool:
        """Leaves a revoked key as it is."""
        return super().has_change_permission(request, obj) and (obj is None or obj.revoked_at is None)

    def has_delete_permission(self, _request: HttpRequest, _obj: Key | None = None) -> bool:
        """Keeps every key."""
        return False

    # The list

    @admin.display(description="state")
    def state_badge(self, key: Key) -> SafeString:
        """Shows the state as a coloured word."""
        return format_html('<span class="key-state key-state-{0}">{0}</span>', key.state.value)

    @admin.display(description="created", ordering="created")
    def created_ago(self, key: Key) -> SafeString:
        """Shows how long ago the key was issued."""
        return _ago(key.created)

    @admin.display(description="last used", ordering="last_used")
    def last_used_ago(self, key: Key) -> str:
        """Shows how long ago the key was last used."""
        return _ago(key.last_used) if key.last_used else "never"

    @admin.display(description="expires", ordering="expires", empty_value="never")
    def expires_at(self, key: Key) -> datetime | None:
        """Shows when the key expires."""
        return key.expires

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Shows all keys, the newest first."""
        return super().changelist_view(request, {"title": "API keys", **(extra_context or {})})

    # Issuing

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Asks for a label and an end."""
        return super().add_view(request, form_url, {"title": "Issue an API key", **(extra_context or {})})

    def save_model(self, request: HttpRequest, obj: Key, form: ModelForm[Key], change: Any) -> None:
        """Gives a new key its secret."""
        if not change:
            obj.created_by_id = request.user.pk
            obj.give_secret()
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: Key, _post_url_continue: str | None = None) -> HttpResponse:
        """Answers with the one page that shows the secret; neither session nor message ever holds it."""
        context = {
            **self.admin_site.each_context(request),
            "title": "Your new API key",
            "opts": self.opts,
            "key": obj,
            "curl": curl(obj.secret, request.build_absolute_uri("/")),
            "media": self.media,
        }
        response = TemplateResponse(request, "admin/apikeys/key/issued.html", context)
        response["Cache-Control"] = "no-store"
        return response

    # Changing and revoking

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Shows one key, with a way to revoke it."""
        key = self.get_object(request, unquote(object_id))
        may_revoke = key is not None and self.has_change_permission(request, key)
        context = {
            "may_revoke": may_revoke,
            "title": "API key",
            "show_save_and_add_another": False,
            "show_save_and_continue": False,
            **(extra_context or {}),
        }
        try:
            return super().change_view(request, object_id, form_url, context)
        except RevocationIsFinal as error:
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(request.path)

    def get_urls(self) -> list[URLPattern]:
        """Adds the page that asks before a key is revoked."""
        view = self.admin_site.admin_view(self.revoke_view)
        return [path("<path:object_id>/revoke/", view, name="apikeys_key_revoke"), *super().get_urls()]

    def revoke_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Asks, then revokes one key."""
        key = self.get_object(request, unquote(object_id))
        if key is None:
            raise Http404
        if not self.has_change_permission(request, key):
            raise PermissionDenied
        chosen = Key.objects.filter(pk=key.pk)
        if request.method != "POST":
            return self._ask(request, chosen)
        self._revoke(request, chosen)
        return HttpResponseRedirect(reverse("admin:apikeys_key_change", args=[key.pk]))

    @admin.action(permissions=["change"], description="Revoke selected API keys")
    def revoke(self, request: HttpRequest, queryset: KeyQuerySet) -> HttpResponse | None:
        """Asks, then revokes the chosen keys."""
        chosen = queryset.not_revoked()
        if not chosen.exists():
            self.message_user(request, "These keys are revoked already.", messages.WARNING)
            return None
        if "confirmed" not in request.POST:
            return self._ask(request, chosen)
        self._revoke(request, chosen)
        return None

    def _ask(self, request: HttpRequest, chosen: KeyQuerySet) -> HttpResponse:
        count = chosen.count()
        context = {
            **self.admin_site.each_context(request),
            "title": "Revoke an API key" if count == 1 else f"Revoke {count} API keys",
            "opts": self.opts,
            "keys": chosen[:KEYS_NAMED],
            "count": count,
            "unnamed": max(0, count - KEYS_NAMED),
            "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
            "select_across": request.POST.get("select_across", "0"),
            "media": self.media,
        }
        return TemplateResponse(request, "admin/apikeys/key/revoke.html", context)

    def _revoke(self, request: HttpRequest, chosen: KeyQuerySet) -> None:
        with transaction.atomic():
            keys = list(chosen.not_revoked())
            count = chosen.revoke()
            LogEntry.objects.log_actions(cast("User", request.user).pk, keys, CHANGE, "Revoked.")
        names = str(keys[0]) if count == 1 else f"{count} keys"
        self.message_user(request, f"Revoked {names}: refused everywhere within a second.", messages.SUCCESS)


def _ago(moment: datetime) -> SafeString:
    return format_html('<span title="{} UTC">{}</span>', f"{moment:%Y-%m-%d %H:%M:%S}", naturaltime(moment))
