"""What the list of calls can be narrowed down to; the choices come from small tables alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.contrib.admin import SimpleListFilter
from django.db.models import Q

from apikeys.models import Key
from usage.call_search import FAILED, as_day, has_status, since, until
from usage.models import RefusedDay, UsageMonth, UsageRecord
from usage.reading import spellings
from usage.rollups import EVERYONE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.models import QuerySet
    from django.http import HttpRequest

    Choices = list[tuple[str, str]]

# A longer list to choose from helps nobody: there is the search.
MOST_CHOICES = 50
STATUSES = ("2xx", "4xx", "400", "401", "403", "404", "413", "429", "499", "5xx", "500", "502", "503", "504")
DAYS = {"today": "Today", "yesterday": "Yesterday", "7": "Past 7 days", "30": "Past 30 days"}
WEEKS = timedelta(days=62)
# How admitted calls fail: those are not among the refused ones, which are counted by their error.
ADMITTED_ERRORS = (
    *("client_left", "gateway_died", "model_not_found", "unavailable"),
    *("upstream_failed", "upstream_refused", "upstream_timeout", "upstream_unreachable"),
)


class CallFilter(SimpleListFilter):
    """A filter whose value becomes a condition; a value that means nothing finds nothing."""

    def condition(self, value: str) -> Q | None:
        """Returns the condition of a value, None for one that means nothing."""
        raise NotImplementedError

    def queryset(self, _request: HttpRequest, queryset: QuerySet[UsageRecord]) -> QuerySet[UsageRecord]:
        """Narrows the list down."""
        value = (self.value() or "").replace("\0", "")
        if not value:
            return queryset
        condition = self.condition(value)
        return queryset.none() if condition is None else queryset.filter(condition)


class StatusFilter(CallFilter):
    """By status, or by a class of them."""

    title = parameter_name = "status"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> Choices:
        """Returns the usual ones."""
        return [(FAILED, "Failed, refused or left"), *((status, status) for status in STATUSES)]

    def condition(self, value: str) -> Q | None:
        """Returns the condition."""
        return has_status(value)


class DayFilter(CallFilter):
    """By the day (UTC) on which a call ended; a link can name any, as in `?day=2026-11-28`."""

    title = parameter_name = "day"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> Choices:
        """Returns the last days."""
        return list(DAYS.items())

    def condition(self, value: str) -> Q | None:
        """Returns the condition."""
        today = datetime.now(UTC).date()
        if value in ("today", "yesterday"):
            day = today - timedelta(days=value == "yesterday")
            return since(day) & until(day)
        if value in DAYS:
            return since(today - timedelta(days=int(value) - 1))
        named = as_day(value)
        return since(named) & until(named) if named is not None else None


class ModelFilter(CallFilter):
    """By model."""

    title = parameter_name = "model"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> Choices:
        """Returns the models of this month and the last."""
        month = (datetime.now(UTC) - WEEKS).date()
        rows = UsageMonth.objects.filter(key=EVERYONE, start__gte=month).exclude(model="").order_by("model")
        return pairs(rows.values_list("model", flat=True).distinct()[:MOST_CHOICES])

    def condition(self, value: str) -> Q | None:
        """Returns the condition."""
        return Q(model__in=spellings(value))


class ErrorFilter(CallFilter):
    """By the code of what went wrong."""

    title = parameter_name = "error"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> Choices:
        """Returns the codes of calls that failed lately, or may have."""
        month = (datetime.now(UTC) - WEEKS).date()
        rows = RefusedDay.objects.filter(day__gte=month).order_by("error")
        refused = rows.values_list("error", flat=True).distinct()[:MOST_CHOICES]
        return pairs(sorted({*refused, *ADMITTED_ERRORS}))

    def condition(self, value: str) -> Q | None:
        """Returns the condition."""
        return Q(error=value)


class TeamFilter(CallFilter):
    """By team."""

    title = parameter_name = "team"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> Choices:
        """Returns the teams that have keys."""
        return pairs(
            Key.objects.exclude(team="").order_by("team").values_list("team", flat=True).distinct()[:MOST_CHOICES]
        )

    def condition(self, value: str) -> Q | None:
        """Returns the condition."""
        return Q(team=value)


class OwnerFilter(CallFilter):
    """By the owner of the key."""

    title = parameter_name = "owner"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> Choices:
        """Returns the users who own a key."""
        owners = Key.objects.exclude(owner=None).order_by("owner__username").values_list("owner_id", "owner__username")
        return [(str(pk), name) for pk, name in owners.distinct()[:MOST_CHOICES]]

    def condition(self, value: str) -> Q | None:
        """Returns the condition."""
        fits = value.isascii() and value.isdecimal() and len(value) <= 18  # noqa: PLR2004 -- digits of a bigint
        return Q(owner=int(value)) if fits else None


def pairs(values: Iterable[str]) -> Choices:
    """Returns choices that are called as they are."""
    return [(value, value) for value in values]
