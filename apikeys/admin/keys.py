"""The operator's pages for keys: issue, look up, change, rotate, disable, enable, revoke."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import SEARCH_VAR
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html

from apikeys.admin.filters import ModelFilter, OwnerFilter, StateFilter, TeamFilter
from apikeys.admin.forms import LIMITS, KeyForm
from apikeys.admin.issued import issued
from apikeys.admin.lookups import OwnFilters
from apikeys.admin.stepping import Stepping, authority_of
from apikeys.admin.typed import KeyModelAdmin
from apikeys.delegation import may_change
from apikeys.description import sentence
from apikeys.input_warnings import input_warnings
from apikeys.keys import find_id
from apikeys.models import Key, RevocationIsFinal
from apikeys.models.allowance import said

if TYPE_CHECKING:
    from datetime import datetime

    from django.forms import ModelForm
    from django.utils.safestring import SafeString

WHO = ("label", ("owner", "team"), "note")
MAY = ("scopes", "models", "routes", "addresses", "body_limit", "context_window", "expires")
UNATTENDED = ("allow_in_path", "keyless_networks")
SEEN = ("state_badge", "may", "key_id", ("created", "created_by"), "last_used_ago")
RISK = "Both are off unless you need them: see docs/security.md. Never for keys that may manage models or keys."


@admin.register(Key)
class KeyAdmin(OwnFilters, Stepping, KeyModelAdmin):
    """Issues and changes keys.  A revoked key can only be looked at; none is ever deleted."""

    form = KeyForm
    list_display = ("named", "state_badge", "owner", "team", "created_ago", "last_used_ago", "expires_at")
    list_display_links = ("named",)
    list_select_related = ("owner",)
    list_filter = (StateFilter, OwnerFilter, TeamFilter, ModelFilter)
    list_filter_submit = False
    list_per_page = 25
    search_fields = ("label", "key_id", "team", "owner__username", "note")
    search_help_text = "Label, id, team, owner or note; a pasted key finds its id"
    autocomplete_fields = ("owner",)
    actions = ("revoke", "disable", "enable")
    compressed_fields = True
    warn_unsaved_form = True

    class Media:
        """The look of badges, and of the pages that are ours alone."""

        css = {"all": ["apikeys/keys.css"]}
        js = ("apikeys/search.js",)

    def get_fieldsets(self, request: HttpRequest, obj: Key | None = None) -> Any:
        """Asks for little when a key is issued, shows everything later."""
        may_limit = obj is None or self.has_change_permission(request, obj)
        sets = [
            ("Who", {"fields": WHO}),
            ("What it may do", {"fields": MAY, "description": "Empty fields allow everything."}),
            ("Clients without a place for a key", {"fields": UNATTENDED, "description": RISK}),
            ("Limits", {"fields": LIMITS if may_limit else ("limits_said",), "description": "Empty fields set none."}),
        ]
        if obj is None:
            return sets
        seen: tuple[Any, ...] = SEEN
        seen += ("old_until",) if obj.rotating else ()
        seen += ("revoked_at",) if obj.revoked_at is not None else ()
        return [(None, {"fields": seen}), *sets]

    def get_readonly_fields(self, _request: HttpRequest, _obj: Key | None = None) -> tuple[str, ...]:
        """Keeps people's hands off what has its own ways."""
        told = ("state_badge", "may", "limits_said", "last_used_ago")
        return (*told, "key_id", "created", "created_by", "old_until", "revoked_at")

    # Permissions

    def has_change_permission(self, request: HttpRequest, obj: Key | None = None) -> bool:
        """Leaves a revoked key as it is, and one that has more than the user may give."""
        if not super().has_change_permission(request, obj):
            return False
        return obj is None or (obj.revoked_at is None and may_change(authority_of(request), obj))

    def has_delete_permission(self, _request: HttpRequest, _obj: Key | None = None) -> bool:
        """Keeps every key."""
        return False

    # What is shown

    @admin.display(description="key", ordering="label")
    def named(self, key: Key) -> tuple[str, str]:
        """Shows the label, and the id below it."""
        return (key.label, key.key_id)

    # Unfold's mark for a cell of two lines; its own decorator has no types.
    named.header = True  # type: ignore[attr-defined] # functions take attributes, mypy does not know

    @admin.display(description="state")
    def state_badge(self, key: Key) -> SafeString:
        """Shows the state as a coloured word, and what else there is to know of the secret."""
        more = "rotating" if key.rotating and key.revoked_at is None else ""
        more = "legacy" if key.uses_legacy_secret else more
        badge = format_html('<span class="key-state key-state-{0}">{0}</span>', key.state.value)
        return badge + format_html(' <span class="key-mark">{}</span>', more) if more else badge

    @admin.display(description="may do")
    def may(self, key: Key) -> str:
        """Says in a sentence what the key may do, and what is to be done about an old one."""
        if key.pk:
            key = Key.objects.get(pk=key.pk)  # a form with errors has changed the one in hand, and nothing is stored
        advice = " Its secret came from the predecessor: rotate it." if key.uses_legacy_secret else ""
        if key.state is not Key.State.ACTIVE:
            return f"Nothing, since it is {key.state.value}. It was given: {sentence(key).removeprefix('May ')}"
        return sentence(key) + advice

    @admin.display(description="limits")
    def limits_said(self, key: Key) -> str:
        """Says the limits."""
        return said(key.limits) or "none"

    @admin.display(description="created", ordering="created")
    def created_ago(self, key: Key) -> SafeString:
        """Shows how long ago the key was issued."""
        return ago(key.created)

    @admin.display(description="last used", ordering="last_used")
    def last_used_ago(self, key: Key) -> str:
        """Shows how long ago the key was last used."""
        return ago(key.last_used) if key.last_used else "never"

    @admin.display(description="expires", ordering="expires", empty_value="never")
    def expires_at(self, key: Key) -> datetime | None:
        """Shows when the key expires."""
        return key.expires

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Shows all keys, the newest first.

        A pasted key is looked for by its id, on a page whose address does not hold it: the browser keeps addresses.
        """
        words = request.GET.get(SEARCH_VAR, "").strip()
        key_id = find_id(words)
        if key_id not in (None, words):
            query = request.GET.copy()
            query[SEARCH_VAR] = key_id
            return HttpResponseRedirect(f"{request.path}?{query.urlencode()}")
        return super().changelist_view(request, {"title": "API keys", **(extra_context or {})})

    # Issuing and changing

    def get_form(self, request: HttpRequest, obj: Key | None = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 -- Django's
        """Returns the form, bounded by what the user may give."""
        form = super().get_form(request, obj, change, **kwargs)
        return type(form.__name__, (form,), {"authority": authority_of(request)})

    def get_autocomplete_fields(self, request: HttpRequest) -> Any:
        """Searches among users only for those who may choose any."""
        return super().get_autocomplete_fields(request) if authority_of(request).owners is None else ()

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Asks for a label, and for what the key may do."""
        return super().add_view(request, form_url, {"title": "Issue an API key", **(extra_context or {})})

    def save_model(self, request: HttpRequest, obj: Key, form: ModelForm[Key], change: Any) -> None:
        """Gives a new key its secret, and stores the limits with it."""
        if isinstance(form, KeyForm):
            obj.new_limits = form.limits()
        if not change:
            obj.created_by_id = request.user.pk
            obj.give_secret()
        if not change:
            super().save_model(request, obj, form, change)
        elif not (form.has_changed() and obj.save_changes()):
            return
        typed = {name: not change or name in form.changed_data for name in ("models", "team")}
        for line in input_warnings(obj, **typed):
            self.message_user(request, line, messages.WARNING)

    def response_add(self, request: HttpRequest, obj: Key, _post_url_continue: str | None = None) -> HttpResponse:
        """Answers with the one page that shows the secret; neither session nor message ever holds it."""
        return issued(self, request, obj, "Your new API key")

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Shows one key, with buttons for what can be done to it."""
        key = self.get_object(request, unquote(object_id))
        context = {
            "steps": self.steps_of(request, key) if key is not None else [],
            "may_rotate": key is not None and self.has_change_permission(request, key),
            "title": str(key.label) if key is not None else "API key",
            "show_save_and_add_another": False,
            "show_save_and_continue": False,
            **(extra_context or {}),
        }
        try:
            return super().change_view(request, object_id, form_url, context)
        except RevocationIsFinal as error:
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(request.path)

    def history_view(
        self,
        request: HttpRequest,
        object_id: str,
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Shows the audit trail of one key in place of the admin's own history, which knows less."""
        key = self.get_object(request, unquote(object_id))
        if key is None or not request.user.has_perm("apikeys.view_auditentry"):
            return super().history_view(request, object_id, extra_context)
        return HttpResponseRedirect(f"{reverse('admin:apikeys_auditentry_changelist')}?q={key.key_id}")


def ago(moment: datetime) -> SafeString:
    """Returns how long ago a moment was, and itself as the title."""
    return format_html('<span title="{} UTC">{}</span>', f"{moment:%Y-%m-%d %H:%M:%S}", naturaltime(moment))
