"""The operator's pages about usage: reports, and the records of single calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from usage import keylist, limitpages  # noqa: F401 -- they register themselves
from usage.figures import duration
from usage.models import UsageDay, UsageRecord

if TYPE_CHECKING:
    DayModelAdmin = admin.ModelAdmin[UsageDay]
    RecordModelAdmin = admin.ModelAdmin[UsageRecord]
else:
    # It has no types, and takes no type argument at run time.
    from unfold.admin import ModelAdmin

    DayModelAdmin = RecordModelAdmin = ModelAdmin


class LookedAt:
    """Nobody adds, changes or deletes what was counted."""

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Says no."""
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Says no."""
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Says no."""
        return False


@admin.register(UsageDay)
class UsageAdmin(LookedAt, DayModelAdmin):
    """Shows the usage of a key, of a model, or of everybody."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Shows a report; the query says whose."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": "Usage",
            "opts": self.opts,
            "key": request.GET.get("key", ""),
            "model": request.GET.get("model", ""),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "usage/of.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, _form_url: str = "", _extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Leads to the report of the row's key: a row alone says little."""
        row = self.get_object(request, unquote(object_id))
        if not self.has_view_permission(request):
            raise PermissionDenied
        query = f"?key={row.key}" if row and row.key else ""
        return HttpResponseRedirect(reverse("admin:usage_usageday_changelist") + query)


@admin.register(UsageRecord)
class RecordAdmin(LookedAt, RecordModelAdmin):
    """Shows single calls, as long as they are kept."""

    list_display = ("at", "key", "model", "route", "status", "ended", "tokens", "first_byte_in", "total_in")
    search_fields = ("=key", "=request_id", "=call")
    search_help_text = "A key's id, a request's id or a call's id, whole."
    ordering = ("-at",)
    list_per_page = 50
    # Counting a million rows twice takes longer than showing fifty.
    show_full_result_count = False

    @admin.display(description="tokens")
    def tokens(self, record: UsageRecord) -> str:
        """Shows what was read and written."""
        sign = "~" if record.estimated else ""
        cached = f" ({record.cached_tokens:,} cached)" if record.cached_tokens else ""
        return f"{sign}{record.prompt_tokens:,}{cached} + {sign}{record.completion_tokens:,}"

    @admin.display(description="first byte")
    def first_byte_in(self, record: UsageRecord) -> str:
        """Shows the time to the first byte."""
        return duration(record.first_byte)

    @admin.display(description="total")
    def total_in(self, record: UsageRecord) -> str:
        """Shows the time to the end."""
        return duration(record.total)
