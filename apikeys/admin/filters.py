"""What the list of keys can be narrowed down to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.admin import SimpleListFilter
from django.db.models import Q
from django.utils import timezone

from apikeys.lists import parts
from apikeys.models import Key

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest

# A list to choose from that is longer than this helps nobody: there is the search.
MOST_CHOICES = 50


class StateFilter(SimpleListFilter):
    """By what a key is good for now."""

    title = "state"
    parameter_name = "state"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        """Returns the states."""
        return [(state.value, state.label) for state in Key.State] + [("rotating", "Two secrets"), ("legacy", "Legacy")]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Key]) -> QuerySet[Key]:
        """Narrows the list down."""
        now = timezone.now()
        alive = Q(expires=None) | Q(expires__gt=now)
        conditions = {
            "active": Q(alive, revoked_at=None, enabled=True),
            "disabled": Q(alive, revoked_at=None, enabled=False),
            "expired": Q(revoked_at=None, expires__lte=now),
            "revoked": Q(revoked_at__isnull=False),
            "rotating": Q(old_until__gt=now, revoked_at=None),
            "legacy": Q(legacy=True, secret_number=1, revoked_at=None),
        }
        condition = conditions.get(self.value() or "")
        return queryset if condition is None else queryset.filter(condition)


class ColumnFilter(SimpleListFilter):
    """By the values that a column has."""

    column: str

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        """Returns the values."""
        values = Key.objects.exclude(**{self.column: ""}).order_by(self.column).values_list(self.column, flat=True)
        return [(value, value) for value in values.distinct()[:MOST_CHOICES]]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Key]) -> QuerySet[Key]:
        """Narrows the list down."""
        return queryset.filter(**{self.column: self.value()}) if self.value() else queryset


class TeamFilter(ColumnFilter):
    """By team."""

    title = parameter_name = column = "team"


class ModelFilter(ColumnFilter):
    """By a model that keys are bound to."""

    title = parameter_name = "model"
    column = "models"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Returns the models that some key names."""
        lists = (value for value, _ in super().lookups(request, model_admin))
        return [(model, model) for model in sorted({model for text in lists for model in parts(text)})]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Key]) -> QuerySet[Key]:
        """Narrows the list down."""
        value = self.value()
        return queryset.filter(models__contains=value) if value else queryset


class OwnerFilter(SimpleListFilter):
    """By owner."""

    title = "owner"
    parameter_name = "owner"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        """Returns the users who own a key."""
        owners = Key.objects.exclude(owner=None).order_by("owner__username").values_list("owner_id", "owner__username")
        return [(str(pk), name) for pk, name in owners.distinct()[:MOST_CHOICES]]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Key]) -> QuerySet[Key]:
        """Narrows the list down."""
        value = self.value() or ""
        return queryset.filter(owner_id=int(value)) if value.isdigit() else queryset
