"""The API for usage: a key's own, and everybody's for those who may see it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
from asgiref.sync import sync_to_async
from django.db import Error
from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema

from apikeys.authentication import APIKeyAuthentication
from apikeys.models import Key
from apikeys.permissions import HasAPIKey, permit
from gateway.rest import AsyncAPIView, Refusal
from usage.asking import Asked, asked, cursor
from usage.ledger import Unavailable
from usage.limits import Room, limits
from usage.names import with_names
from usage.openapi import DESCRIBED
from usage.reading import page, total
from usage.reports import FIELDS, Line, as_dict, of
from usage.written import as_csv

if TYPE_CHECKING:
    from apikeys.principal import Principal

Subject = tuple[str, int | None, str]

PATH = "/api/v1/usage"
NO_LEDGER = "What is left of the limits can't be known: try again in a few seconds. The operator: see REDIS_URL."
AWAY = "The account can't be read at the moment: try again in a few seconds."


class UsageView(AsyncAPIView):
    """Tells what was used, and what is left."""

    authentication_classes = (APIKeyAuthentication,)
    permission_classes = (HasAPIKey,)

    @extend_schema(**DESCRIBED)
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Answers with the lines of a report, their sum, and the limits of the key that they are about."""
        principal: Principal = request.user  # type: ignore[assignment]  # who the authenticator found
        address = request.META.get("REMOTE_ADDR", "")
        # Its own usage is open to every key, though from its addresses only.
        permit(replace(principal, routes=()), PATH, "gateway", address)
        wanted = asked(request.GET.dict(), principal)
        if not wanted.own:
            permit(principal, PATH, "gateway", address)
        try:
            whose = subject(principal) if wanted.own else await sync_to_async(subject_of)(wanted)
            # The ledger is the event loop's own: it is asked here, in no other thread.
            left = [written(room) for room in await limits.rooms(*whose)] if whose else []
            return await sync_to_async(answer)(wanted, left, request)
        except Unavailable:
            raise Refusal(503, NO_LEDGER, kind="limits_unavailable", headers={"Retry-After": "5"}) from None
        except Error:
            raise Refusal(503, AWAY, headers={"Retry-After": "5"}) from None

    async def options(  # type: ignore[override]  # a coroutine, as all handlers here
        self, _request: HttpRequest, *_args: Any, **_named: Any
    ) -> HttpResponse:
        """Says which methods are taken."""
        response = HttpResponse(headers={"Allow": "GET, HEAD, OPTIONS"})
        del response["Content-Type"]
        return response


def answer(wanted: Asked, left: list[dict[str, Any]], request: HttpRequest) -> HttpResponse:
    """Returns the answer to a question."""
    question = wanted.question
    found, more = page(question, wanted.after, wanted.page_size)
    named = with_names([as_dict(line, question.by) for line in found], question.by)
    following = next_page(request, found[-1]) if more else None
    if wanted.csv:
        head = [*(named[0] if named else (*question.by, *FIELDS))]
        response = HttpResponse(as_csv(head, named), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = 'attachment; filename="usage.csv"'
    else:
        said = {
            "since": question.since,
            "until": question.until,
            "by": question.by,
            "usage": named,
            "total": of(total(question)),
            "limits": left,
            "next": following,
        }
        response = HttpResponse(orjson.dumps(said), content_type="application/json")
    if following:
        response["Link"] = f'<{following}>; rel="next"'
    response["Cache-Control"] = "no-store"
    return response


def next_page(request: HttpRequest, last: Line) -> str:
    """Returns the path of the lines that follow."""
    query = request.GET.copy()
    query["after"] = cursor(last.about)
    return f"{request.path}?{query.urlencode()}"


def subject_of(wanted: Asked) -> Subject | None:
    """Returns whose limits belong to a question: those of the one key that it is about, None for many."""
    row = Key.objects.filter(key_id=wanted.question.only.get("key", "")).first()
    return subject(row) if row else None


def subject(key: Principal | Key) -> Subject:
    """Returns a key's id, its owner and its team."""
    return key.key_id, key.owner_id, key.team


def written(room: Room) -> dict[str, Any]:
    """Returns what is left of a limit as it is written."""
    return {
        "of": room.subject.partition(":")[0],
        "dimension": room.dimension,
        "limit": room.limit,
        "left": room.left,
        "resets_in_seconds": None if room.resets is None else round(room.resets, 3),
    }
