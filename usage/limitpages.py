"""The operator's pages for what owners and teams may use with all their keys together."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from unfold.widgets import UnfoldAdminTextInputWidget

from apikeys.admin.forms import LimitFields
from apikeys.admin.stepping import named_pages
from apikeys.models import Allowance
from apikeys.models.allowance import said
from apikeys.whose import Nobody, Whose, known, limited, whose
from usage.budgets import Spending, shared
from usage.pages import BudgetRow, row

if TYPE_CHECKING:
    LimitModelAdmin = admin.ModelAdmin[Allowance]
else:
    # It has no types, and takes no type argument at run time.
    from unfold.admin import ModelAdmin as LimitModelAdmin

A_PAGE = 50
LIST = "admin:apikeys_allowance_changelist"
LISTED = "limit-known"  # the id of the list that the field suggests from


class WhoseForm(LimitFields):
    """Limits of somebody who has none yet."""

    whose = forms.CharField(
        max_length=200,
        label="Applies to",
        help_text="team:NAME or owner:USER.",
        widget=UnfoldAdminTextInputWidget(attrs={"list": LISTED, "autofocus": True, "placeholder": "team:research"}),
    )
    field_order = ("whose",)

    def clean_whose(self) -> Whose:
        """Returns the owner or the team; refuses nobody, and those who have limits."""
        try:
            one = whose(self.cleaned_data["whose"])
        except Nobody as error:
            raise forms.ValidationError(str(error)) from None
        if one.limits:
            raise forms.ValidationError(f"{one} has limits already: change them on the page of their own.")
        return one

    def clean(self) -> dict[str, Any] | None:
        """Refuses a form without a limit."""
        if not self.errors and not any(self.limits().values()):
            raise forms.ValidationError("Nothing is limited yet: fill in at least one of the limits.")
        return super().clean()


@admin.register(Allowance)
class LimitAdmin(LimitModelAdmin):
    """Lists, sets and takes away the limits of owners and teams; a key's own are on the key's page."""

    class Media:
        """The look that it shares with the pages of keys and of usage."""

        css = {"all": ["apikeys/keys.css", "usage/usage.css"]}

    def get_urls(self) -> list[URLPattern]:
        """Lets whoever changes limits be named in the audit trail."""
        return named_pages(super().get_urls())

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Lets those add limits who may change them."""
        return self.has_change_permission(request)

    def has_delete_permission(self, _request: HttpRequest, _obj: Allowance | None = None) -> bool:
        """Leaves no row to be deleted past the audit trail."""
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Shows who has which limits, and how much of the budgets is spent."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        page = Paginator(limited(), A_PAGE).get_page(request.GET.get("p"))
        limits = {kind: Allowance.all_of(kind) for kind in ("owner", "team")}
        spent = shared(datetime.now(UTC).date())
        rows = [
            (one, page_of(one), said(limits[one.kind].get(one.subject, {})), budgets(one, spent))
            for one in page.object_list
        ]
        context = {"title": "Limits", "rows": rows, "page": page, "may_change": self.has_change_permission(request)}
        return TemplateResponse(
            request, "usage/limits.html", {**self.around(request), **context, **(extra_context or {})}
        )

    def add_view(
        self, request: HttpRequest, _form_url: str = "", _extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Limits somebody who has no limits yet."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = WhoseForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            return self.set(request, form.cleaned_data["whose"], form)
        context = {"title": "Limit an owner or a team", "form": form, "listed": LISTED, "known": known()}
        return TemplateResponse(request, "usage/limit.html", {**self.around(request), **context})

    def change_view(
        self, request: HttpRequest, object_id: str, _form_url: str = "", _extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Shows somebody's limits and what is spent of them, to be changed by those who may."""
        try:
            one = whose(unquote(object_id))
        except Nobody:
            raise Http404 from None
        may_change = self.has_change_permission(request)
        if not (may_change or self.has_view_permission(request)):
            raise PermissionDenied
        if request.method == "POST" and not may_change:
            raise PermissionDenied
        form = LimitFields(request.POST if request.method == "POST" else None, initial=one.limits)
        if request.method == "POST" and form.is_valid():
            return self.set(request, one, form)
        context = {
            "title": str(one),
            "one": one,
            "form": form if may_change else None,
            "said": said(one.limits),
            "budgets": budgets(one, shared(datetime.now(UTC).date())),
        }
        return TemplateResponse(request, "usage/limit.html", {**self.around(request), **context})

    def set(self, request: HttpRequest, one: Whose, form: LimitFields) -> HttpResponse:
        """Stores what the form says, and leads back to the list."""
        one.limit(form.limits())
        held = said(one.limits)
        what = f"{one} may use {held}" if held else f"{one} has no limits any more"
        self.message_user(request, f"{what}: running servers obey within a second.", messages.SUCCESS)
        for line in one.warnings if held else ():
            self.message_user(request, line, messages.WARNING)
        return HttpResponseRedirect(reverse(LIST))

    def around(self, request: HttpRequest) -> dict[str, Any]:
        """Returns what every page of the admin is given."""
        return {**self.admin_site.each_context(request), "opts": self.opts, "media": self.media}


def page_of(one: Whose) -> str:
    """Returns the address of somebody's limits."""
    return reverse("admin:apikeys_allowance_change", args=[quote(str(one))])


def budgets(one: Whose, spent: dict[str, list[Spending]]) -> list[BudgetRow]:
    """Returns the lines of somebody's budgets."""
    return [row(each, one.name) for each in spent.get(f"{one.kind}:{one.subject}", [])]
