"""Refuses what no database can hold, or should look for, before a query is made of it.

PostgreSQL has no NUL, and an ID is a number.  A regular expression may take a database for ever: SQLite's are Python's,
which hold up all requests of the process meanwhile.  Each word of a search is a condition on each of its columns, and
SQLite takes no more than 1000 of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

from gateway.errors import bad_request, nul_in_query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django.db.models import Field

NUL = "\0"
# IDs have 64 bits in both databases; SQLite's driver raises OverflowError beyond.
LARGEST_ID = 2**63 - 1
# Django's lists of the admin take any lookup from a query; no filter of ours has these.
EXPRESSIONS = frozenset({"regex", "iregex"})
# The parameters in which the admin has words to look for, and how many of them it takes.
SEARCHES = ("q", "s", "term")
MOST_WORDS = 50


class InputCheckMiddleware(MiddlewareMixin):
    """Answers 400 to people's requests with such values; browsers send none of them by themselves."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        """Checks the query string; removes a session cookie that can't be one.

        A quoted cookie may hold any character, since `http.cookies` decodes octal escapes.
        """
        if any(NUL in text for name, values in request.GET.lists() for text in (name, *values)):
            return nul_in_query(request)
        if any(name.rpartition("__")[2] in EXPRESSIONS for name in request.GET):
            return bad_request(request)
        if any(len(request.GET.get(name, "").split()) > MOST_WORDS for name in SEARCHES):
            return bad_request(request)
        cookie = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
        if cookie is not None and not (cookie.isascii() and cookie.isalnum()):
            del request.COOKIES[settings.SESSION_COOKIE_NAME]
        return None

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], _args: tuple[Any, ...], _named: dict[str, Any]
    ) -> HttpResponse | None:
        """Checks the IDs in a form of the admin, of which Django makes queries without a look."""
        model_admin = getattr(view, "model_admin", None)
        if request.method != "POST" or not isinstance(model_admin, ModelAdmin):
            return None
        ids = list(sent_ids(request, model_admin))
        return None if all(can_be_id(field, text) for field, text in ids) else bad_request(request)


def sent_ids(request: HttpRequest, model_admin: ModelAdmin[Any]) -> Iterator[tuple[Field[Any, Any], str]]:
    """Yields the IDs in a form, each with the field that it would be compared to."""
    options = model_admin.model._meta  # noqa: SLF001  # documented under this name
    for text in request.POST.getlist(ACTION_CHECKBOX_NAME):
        yield options.pk, text
    for name in model_admin.get_autocomplete_fields(request):
        target = options.get_field(name).target_field
        for text in filter(None, request.POST.getlist(name)):
            yield target, text


def can_be_id(field: Field[Any, Any], text: str) -> bool:
    """Tells whether a text can be the value of a field."""
    try:
        value = field.to_python(text)
    except ValidationError:
        return False
    return not isinstance(value, int) or abs(value) <= LARGEST_ID
