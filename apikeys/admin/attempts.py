"""Keys that were not valid, as counts."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from apikeys.admin.lookups import OwnFilters
from apikeys.admin.typed import AttemptModelAdmin
from apikeys.models import AttemptCount


@admin.register(AttemptCount)
class AttemptAdmin(OwnFilters, AttemptModelAdmin):
    """Shows from where how many came."""

    list_display = ("hour", "address", "count")
    list_display_links = None
    list_per_page = 50
    search_fields = ("address",)

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Leaves counting to the gateway."""
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: AttemptCount | None = None) -> bool:
        """Leaves counts as they are."""
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: AttemptCount | None = None) -> bool:
        """Leaves forgetting to time."""
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Shows the latest hours first."""
        return super().changelist_view(request, {"title": "Invalid keys", **(extra_context or {})})
