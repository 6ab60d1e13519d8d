"""Usage at a glance in the admin's list of keys: from roll-ups, in one query for the page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from asgiref.sync import async_to_sync
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import F, Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from apikeys.admin import KeyAdmin
from apikeys.models import Allowance, Key
from usage.dimensions import OUTPUT
from usage.figures import short
from usage.ledger import Unavailable
from usage.limits import Room, limits
from usage.models import UsageDay

if TYPE_CHECKING:
    from django.utils.safestring import SafeString

DAYS = 7
TOKENS = F("prompt_tokens") + F("completion_tokens")
MAY_SEE = "usage.view_usageday"
COLUMN, LEFT = "week", "limits_left"
# A bar's room, and how high the least of them is: a day with a single call is not a day without.
BAR, TOP, LEAST = 10, 20, 2


class Glance(NamedTuple):
    """A key's last days: its requests in all, its tokens of each day."""

    requests: int = 0
    tokens: Sequence[int] = (0,) * DAYS


def glances(ids: Sequence[str], today: date) -> dict[str, Glance]:
    """Returns the last days of these keys, of those that were used."""
    first = today - timedelta(days=DAYS - 1)
    rows = UsageDay.objects.filter(key__in=ids, start__range=(first, today)).order_by()
    found: dict[str, Glance] = {}
    sums = rows.values_list("key", "start").annotate(asked=Sum("requests"), used=Sum(TOKENS))
    for key, day, requests, tokens in sums:
        glance = found.get(key) or Glance(0, [0] * DAYS)
        days = list(glance.tokens)
        days[(day - first).days] = tokens
        found[key] = Glance(glance.requests + requests, days)
    return found


class KeyChangeList(ChangeList):
    """A page of the list that knows what its keys were used for."""

    def get_results(self, request: HttpRequest) -> None:
        """Reads the page's keys, and all their usage at once."""
        super().get_results(request)
        if request.user.has_perm(MAY_SEE):
            self.result_list: list[Key] = list(self.result_list)
            found = glances([key.key_id for key in self.result_list], datetime.now(UTC).date())
            for key in self.result_list:
                key.glance = found.get(key.key_id, Glance())


class UsedKeyAdmin(KeyAdmin):
    """The pages for keys, with usage in their list."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002 -- Django's
        """Returns the list that knows of usage."""
        return KeyChangeList

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Adds usage for those who may see it, before what changes more seldom."""
        columns = list(super().get_list_display(request))
        if request.user.has_perm(MAY_SEE):
            columns.insert(columns.index("created_ago"), COLUMN)
        return columns

    def get_fieldsets(self, request: HttpRequest, obj: Key | None = None) -> Any:
        """Adds what is left of the limits of a stored key, for those who may see usage."""
        sets = list(super().get_fieldsets(request, obj))
        if obj is not None and request.user.has_perm(MAY_SEE):
            title, options = sets[0]
            sets[0] = (title, {**options, "fields": (*options["fields"], LEFT)})
        return sets

    def get_readonly_fields(self, request: HttpRequest, obj: Key | None = None) -> tuple[str, ...]:
        """Shows it as it is."""
        return (*super().get_readonly_fields(request, obj), LEFT)

    @admin.display(description="limits left")
    def limits_left(self, key: Key) -> SafeString | str:
        """Shows each limit that applies, the owner's and the team's too, with what is left of it and until when."""
        try:
            rooms = list(async_to_sync(limits.rooms)(key.key_id, key.owner_id, key.team))
        except Unavailable:
            return "unknown: the shared limits can't be reached"
        if not rooms:
            return "no limits apply"
        return format_html_join("", '<div class="key-left">{}</div>', ((left_of(room),) for room in rooms))

    @admin.display(description="7 days")
    def week(self, key: Key) -> SafeString:
        """Shows a bar a day, and the tokens of all of them, which lead to the key's usage."""
        glance: Glance = key.glance
        if not glance.requests:
            return format_html('<span class="key-mark">{}</span>', "–")
        link = f"{reverse('admin:usage_usageday_changelist')}?{urlencode({'key': key.key_id})}"
        tokens = sum(glance.tokens)
        return format_html(
            '<a class="key-week" href="{}" title="{} requests, {} tokens in {} days">{}<span>{}</span></a>',
            link,
            f"{glance.requests:,}",
            f"{tokens:,}",
            DAYS,
            bars(glance.tokens),
            short(tokens),
        )


def left_of(room: Room) -> str:
    """Returns what is left of a limit, as people read it."""
    kind = room.subject.partition(":")[0]
    whose = "" if kind == "key" else f" ({kind})"
    label = Allowance.Dimension(room.dimension).label
    if room.dimension == OUTPUT:
        return f"{label}{whose}: {room.limit:,}"
    resets = f", resets in {duration(room.resets)}" if room.resets else ""
    return f"{label}{whose}: {room.left:,} of {room.limit:,} left{resets}"


def duration(seconds: float) -> str:
    """Returns a duration in its two largest units."""
    minutes, rest = divmod(ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = ((days, "d"), (hours, "h"), (minutes, "min"), (rest, "s"))
    first = next((place for place, (amount, _) in enumerate(units) if amount), len(units) - 1)
    return " ".join(f"{amount} {unit}" for amount, unit in units[first : first + 2] if amount) or "0 s"


def bars(amounts: Sequence[int]) -> SafeString:
    """Draws a bar for each amount."""
    most = max(amounts) or 1
    heights = [max(LEAST, round(TOP * amount / most)) if amount else 0 for amount in amounts]
    rects = ((place * BAR, TOP - height, BAR - 2, height) for place, height in enumerate(heights) if height)
    return format_html(
        '<svg viewBox="0 0 {} {}" aria-hidden="true">{}</svg>',
        BAR * len(amounts),
        TOP,
        format_html_join("", '<rect x="{}" y="{}" width="{}" height="{}"/>', rects),
    )


admin.site.unregister(Key)
admin.site.register(Key, UsedKeyAdmin)
