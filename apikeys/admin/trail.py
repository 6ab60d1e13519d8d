"""The audit trail: looked at, searched, and exported."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import URLPattern, path
from django.utils.html import format_html, format_html_join

from apikeys.admin.lookups import OwnFilters
from apikeys.admin.typed import TrailModelAdmin
from apikeys.models import AuditEntry
from apikeys.models.allowance import said
from apikeys.models.entry import iso

if TYPE_CHECKING:
    from django.utils.safestring import SafeString

COLUMNS = ("number", "when", "actor", "address", "action", "key_id", "changes", "seal")

# Of an export, so many lines are read at once.
LINES_AT_ONCE = 500

# Moments are sealed to the microsecond, and read to the second.
PRECISE = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.\d+\+00:00$")


class Echo:
    """A file that gives back what is written into it."""

    def write(self, text: str) -> str:
        """Returns the text."""
        return text


@admin.register(AuditEntry)
class TrailAdmin(OwnFilters, TrailModelAdmin):
    """Shows the trail; nobody adds, changes or deletes an entry."""

    list_display = ("number", "when", "actor", "action_badge", "key_id", "told", "address")
    list_display_links = None
    list_filter = ("action",)
    list_per_page = 50
    search_fields = ("=key_id", "actor")
    search_help_text = "Id of a key, or who did it"

    class Media:
        """The look of badges."""

        css = {"all": ["apikeys/keys.css"]}

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Leaves the trail to what is done."""
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: AuditEntry | None = None) -> bool:
        """Leaves entries as they are."""
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: AuditEntry | None = None) -> bool:
        """Keeps every entry."""
        return False

    @admin.display(description="what", ordering="action")
    def action_badge(self, entry: AuditEntry) -> SafeString:
        """Shows what was done as a coloured word."""
        look = entry.action.replace(" ", "-")
        return format_html('<span class="key-state key-did-{}">{}</span>', look, entry.action)

    @admin.display(description="before → after")
    def told(self, entry: AuditEntry) -> SafeString:
        """Shows each field that changed."""
        rows = (
            (
                name.removesuffix("_id").removesuffix("_at").replace("_", " "),
                "" if before is None else f"{shown(before, name)} → ",
                shown(after, name),
            )
            for name, (before, after) in json.loads(entry.changes).items()
        )
        return format_html_join("", '<div class="key-change"><b>{}</b> {}{}</div>', rows)

    def get_urls(self) -> list[URLPattern]:
        """Adds the exports."""
        export = self.admin_site.admin_view(self.export_view)
        return [
            path(f"export.{kind}", export, {"kind": kind}, name=f"apikeys_auditentry_{kind}")
            for kind in ("csv", "json")
        ] + super().get_urls()

    def export_view(self, request: HttpRequest, kind: str) -> StreamingHttpResponse:
        """Sends the whole trail, the oldest entry first."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        rows = (
            (*(entry.number, iso(entry.when)), *(getattr(entry, name) for name in COLUMNS[2:]))
            for entry in AuditEntry.objects.order_by("number").iterator()
        )
        lines, media = (as_csv(rows), "text/csv") if kind == "csv" else (as_json(rows), "application/json")
        body = in_portions(lines) if isinstance(request, ASGIRequest) else lines
        headers = {"Content-Disposition": f'attachment; filename="audit.{kind}"', "Cache-Control": "no-store"}
        return StreamingHttpResponse(body, content_type=media, headers=headers)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Shows the trail, the latest entry first."""
        return super().changelist_view(request, {"title": "Audit trail", **(extra_context or {})})


async def in_portions(lines: Iterator[str]) -> AsyncIterator[str]:
    """Yields lines, some hundreds at a time, read on the thread that has the database's connection."""
    while portion := await sync_to_async(lambda: "".join(islice(lines, LINES_AT_ONCE)))():
        yield portion


def as_csv(rows: Iterator[tuple[Any, ...]]) -> Iterator[str]:
    """Yields rows as CSV; a cell that a spreadsheet would take for a formula is made text."""
    writer: Any = csv.writer(Echo())
    yield writer.writerow(COLUMNS)
    for row in rows:
        yield writer.writerow([f"'{cell}" if str(cell).startswith(("=", "+", "-", "@")) else cell for cell in row])


def as_json(rows: Iterator[tuple[Any, ...]]) -> Iterator[str]:
    """Yields rows as a JSON array of objects."""
    before = "[\n"
    for row in rows:
        entry = dict(zip(COLUMNS, row, strict=True))
        yield before + json.dumps({**entry, "changes": json.loads(entry["changes"])}, ensure_ascii=False)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def shown(value: object, name: str) -> str:
    """Returns a field's value for people."""
    if value in (None, ""):
        return "–"
    if name == "owner_id":
        owner = get_user_model().objects.filter(pk=int(str(value))).first()
        return owner.get_username() if owner else f"user {value}"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "–"
    if isinstance(value, dict):
        return said(value) or "–"
    return PRECISE.sub(r"\1", str(value))
