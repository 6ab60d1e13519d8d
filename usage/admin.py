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

from apikeys.admin.lookups import OwnFilters
from usage import keylist, limitpages  # noqa: F401 -- they register themselves
from usage.call_filters import DayFilter, ErrorFilter, ModelFilter, OwnerFilter, StatusFilter, TeamFilter
from usage.call_search import LOWEST_ERROR, WELL, find, not_kept
from usage.figures import duration
from usage.models import UsageDay, UsageRecord
from usage.names import labels, with_names
from usage.pages import period_of
from usage.pictures import About
from usage.reading import lines
from usage.reports import FIELDS, Question, as_dict
from usage.written import as_csv

if TYPE_CHECKING:
    from collections.abc import Mapping

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
# A spreadsheet has a million rows; this many are read in some seconds.
MOST_ROWS = 200_000
CSV_COLUMNS = ("day", "key", "owner", "team", "model", "route")
CSV_HEAD = ("day", "key", "label", "owner", "owner_name", "team", "model", "route", *FIELDS)
LONGEST, DIGITS = 300, 18


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
    """Shows the usage of a key, an owner, a team, a model, or of everybody."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Shows a report; the query says whose."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        about = about_of(request.GET)
        if request.GET.get("format") == "csv":
            return spreadsheet(about, request.GET)
        context = {
            **self.admin_site.each_context(request),
            "title": "Usage",
            "opts": self.opts,
            "about": about,
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


def about_of(query: Mapping[str, str]) -> About:
    """Returns whose usage a query asks for."""
    given = {name: query.get(name, "").replace("\0", "")[:LONGEST] for name in ("key", "model", "team")}
    owner = query.get("owner", "")
    is_number = owner.isascii() and owner.isdecimal() and len(owner) <= DIGITS
    return About(**given, owner=int(owner) if is_number else 0)


def spreadsheet(about: About, query: Mapping[str, str]) -> HttpResponse:
    """Returns what is used each day as CSV, told apart by all there is; 400 for days that can't be, or are too many."""
    days = (query.get("since", "").strip(), query.get("until", "").strip())
    now = datetime.now(UTC)
    period, complaint = period_of(query.get("period", ""), days, now)
    question = Question(period.first.date(), max(period.until, period.first.date()), CSV_COLUMNS, about.only)
    found = [] if complaint else lines(question)
    if len(found) > MOST_ROWS:
        complaint = f"These are {len(found)} rows, more than the {MOST_ROWS} that one file has: choose fewer days."
    if complaint:
        return HttpResponse(f"{complaint}\n", status=400, content_type="text/plain; charset=utf-8")
    rows = with_names([as_dict(line, CSV_COLUMNS) for line in found], CSV_COLUMNS)
    response = HttpResponse(as_csv(CSV_HEAD, rows), content_type="text/csv; charset=utf-8")
    name = f"usage-{question.since}-{question.until}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response


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
class RecordAdmin(OwnFilters, LookedAt, RecordModelAdmin):
    """Shows single calls, as long as they are kept: those that were served, and those that were not."""

    list_display = ("when", "how", "who", "what", "tokens", "took", "from_client")
    list_filter = (StatusFilter, DayFilter, ErrorFilter, ModelFilter, TeamFilter, OwnerFilter)
    # Django shows the field for it; usage/call_search.py does the work.
    search_fields = ("=request_id",)
    search_help_text = "Request id, key, owner, team, model, status, error or day"
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

    class Media:
        """The list's own style: on a phone each call is a card."""

        css = {"all": ("usage/calls.css",)}

    @admin.display(description="ended (UTC)", ordering="at")
    def when(self, record: UsageRecord) -> str:
        """Shows when it ended, to the second."""
        return f"{record.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"

    @admin.display(description="result", ordering="status")
    def how(self, record: UsageRecord) -> SafeString:
        """Shows the status, and what went wrong."""
        failed = record.status >= LOWEST_ERROR or record.ended not in WELL
        return format_html(
            '<span class="call-result{}"><strong>{}</strong> {}<small class="call-small">{}</small></span>',
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
            '<div><a href="{}" class="call-key">{}</a><small class="call-small call-id">{}</small></div>',
            link,
            record.label or record.key,
            record.key if record.label else "",
        )

    @admin.display(description="model", ordering="model")
    def what(self, record: UsageRecord) -> SafeString:
        """Shows the model and the route."""
        return format_html('<div>{}<small class="call-small">{}</small></div>', record.model or "–", record.route)

    @admin.display(description="tokens")
    def tokens(self, record: UsageRecord) -> str:
        """Shows what was read and written."""
        sign = "~" if record.estimated else ""
        cached = f" ({record.cached_tokens:,} cached)" if record.cached_tokens else ""
        return f"{sign}{record.prompt_tokens:,}{cached} + {sign}{record.completion_tokens:,}"

    @admin.display(description="time", ordering="total")
    def took(self, record: UsageRecord) -> SafeString:
        """Shows the time to the end, and to the first byte."""
        first = f"first byte {duration(record.first_byte)}" if record.first_byte is not None else ""
        return format_html('<div>{}<small class="call-small">{}</small></div>', duration(record.total), first)

    @admin.display(description="client", ordering="user_agent")
    def from_client(self, record: UsageRecord) -> SafeString:
        """Shows what sent the request, and the id that its client has of it."""
        return format_html(
            '<div>{}<small class="call-small call-id">{}</small></div>', record.user_agent or "–", record.request_id
        )
