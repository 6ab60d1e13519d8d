"""The operator's pages about usage: reports, and the records of single calls."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html

from usage import keylist, limitpages  # noqa: F401 -- they register themselves
from usage.call_filters import DayFilter, ErrorFilter, ModelFilter, OwnerFilter, StatusFilter, TeamFilter
from usage.call_search import LOWEST_ERROR, WELL, find, not_kept
from usage.figures import duration
from usage.models import UsageDay, UsageRecord
from usage.names import labels

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.utils.safestring import SafeString

    DayModelAdmin = admin.ModelAdmin[UsageDay]
    RecordModelAdmin = admin.ModelAdmin[UsageRecord]
else:
    # It has no types, and takes no type argument at run time.
    from unfold.admin import ModelAdmin

    DayModelAdmin = RecordModelAdmin = ModelAdmin


# Of so many days the list says how many refused calls it does not have.
REFUSED_DAYS = 7


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


class CallChangeList(ChangeList):
    """A page of the list that knows what its keys and owners are called."""

    def get_results(self, request: HttpRequest) -> None:
        """Reads the page's calls, and the names of all keys and owners at once."""
        super().get_results(request)
        self.result_list: list[UsageRecord] = list(self.result_list)
        named = labels({record.key for record in self.result_list})
        for record in self.result_list:
            record.label = named.get(record.key, "")


@admin.register(UsageRecord)
class RecordAdmin(LookedAt, RecordModelAdmin):
    """Shows single calls, as long as they are kept: those that were served, and those that were not."""

    list_display = (
        "at",
        "how",
        "who",
        "model_name",
        "route",
        "library",
        "tokens",
        "first_byte_in",
        "total_in",
        "request_code",
    )
    list_filter = (StatusFilter, DayFilter, ErrorFilter, ModelFilter, TeamFilter, OwnerFilter)
    # Django shows the field for it; usage/call_search.py does the work.
    search_fields = ("=request_id",)
    search_help_text = (
        "A request's id, a key (its id, its label or the whole key), an owner, a team, a model, a status such as 429 "
        "or 5xx, an error's code, a client library, or a day such as 2026-11-28."
    )
    ordering = ("-at",)
    list_per_page = 50
    # Counting a million rows twice takes longer than showing fifty.
    show_full_result_count = False
    list_before_template = "usage/refused.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002 -- Django's
        """Returns the list that knows names."""
        return CallChangeList

    def get_search_results(
        self, _request: HttpRequest, queryset: QuerySet[UsageRecord], search_term: str
    ) -> tuple[QuerySet[UsageRecord], bool]:
        """Searches."""
        return find(queryset, search_term), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Shows the list, and how many refused calls of the last days have no record."""
        today = datetime.now(UTC).date()
        lost = not_kept(today - timedelta(days=REFUSED_DAYS - 1), today)
        return super().changelist_view(
            request, {"title": "Calls", "refused": lost, "refused_days": REFUSED_DAYS, **(extra_context or {})}
        )

    @admin.display(description="result", ordering="status")
    def how(self, record: UsageRecord) -> SafeString:
        """Shows the status, and what went wrong."""
        failed = record.status >= LOWEST_ERROR or record.ended not in WELL
        return format_html(
            '<span class="call-result{}"><strong>{}</strong> {}<small>{}</small></span>',
            " call-failed" if failed else "",
            record.status,
            record.error or record.ended,
            record.reason,
        )

    @admin.display(description="key")
    def who(self, record: UsageRecord) -> SafeString:
        """Shows the key's label, which leads to its calls, and its id."""
        link = f"{reverse('admin:usage_usagerecord_changelist')}?{urlencode({'q': record.key})}"
        return format_html(
            '<a href="{}" class="call-key">{}</a><small class="call-id">{}</small>',
            link,
            record.label or record.key,
            record.key if record.label else "",
        )

    @admin.display(description="model", ordering="model")
    def model_name(self, record: UsageRecord) -> str:
        """Shows the model."""
        return record.model or "–"

    @admin.display(description="client library", ordering="user_agent")
    def library(self, record: UsageRecord) -> str:
        """Shows what sent the request."""
        return record.user_agent or "–"

    @admin.display(description="request id")
    def request_code(self, record: UsageRecord) -> SafeString:
        """Shows the id, as its client has it."""
        return format_html('<code class="call-id">{}</code>', record.request_id)

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

    @admin.display(description="seconds", ordering="total")
    def total_in(self, record: UsageRecord) -> str:
        """Shows the time to the end."""
        return duration(record.total)
