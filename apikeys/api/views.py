"""`/api/v1/key` and `/api/v1/keys`: on the stock path, since they read and write the database."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import orjson
from asgiref.sync import sync_to_async
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema

from apikeys.actor import acting
from apikeys.api import schema
from apikeys.api.bounds import authority_of, within
from apikeys.api.serializers import KeyChanges, KeyFields, Rotation, checked, given
from apikeys.authentication import APIKeyAuthentication
from apikeys.description import described
from apikeys.input_warnings import input_warnings
from apikeys.models import Allowance, Key, RevocationIsFinal
from apikeys.permissions import HasAPIKey, permit
from apikeys.refusals import KeysUnknown, ScopeLacking
from gateway import strictjson
from gateway.rest import AsyncAPIView, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http.response import HttpResponseBase

    from apikeys.models import KeyQuerySet
    from apikeys.principal import Principal

PAGE, LARGEST_PAGE = 100, 500
PARAMETERS = ("team", "owner", "page_size", "after")
SCOPE = "keys"


class KeysView(AsyncAPIView):
    """What all endpoints here share: a key that may, an error for a database that is away, and no cache."""

    authentication_classes = (APIKeyAuthentication,)
    permission_classes = (HasAPIKey,)
    path = "/api/v1/keys"

    async def dispatch(self, request: HttpRequest, *_args: Any, **_named: Any) -> HttpResponseBase:  # type: ignore[override]  # a coroutine
        """Serves one request; what the path names is in `kwargs`."""
        return await super().dispatch(request)

    async def run(self, request: HttpRequest, work: Callable[[Principal], HttpResponse]) -> HttpResponse:
        """Does the work in a thread, in the name of the key that asks."""
        principal = cast("Principal", request.user)
        address = str(request.META.get("REMOTE_ADDR", ""))
        self.allow(principal, address)
        if "\0" in request.path or any("\0" in value for value in request.GET.values()):
            raise Refusal(400, "A path or a query holds no NUL characters.")  # PostgreSQL takes none
        try:
            with acting(f"key {principal.label} ({principal.key_id})", address):
                response = await sync_to_async(work)(principal)
        except DatabaseError:
            raise KeysUnknown from None
        except RevocationIsFinal as error:
            raise Refusal(409, str(error), kind="revoked") from None
        response["Cache-Control"] = "no-store"
        return response

    async def options(  # type: ignore[override]  # a coroutine, as all handlers here
        self, _request: HttpRequest, *_args: Any, **_named: Any
    ) -> HttpResponse:
        """Says which methods are taken."""
        response = HttpResponse(headers={"Allow": ", ".join(self.allowed_methods)})
        del response["Content-Type"]
        return response

    def allow(self, principal: Principal, address: str) -> None:
        """Raises the refusal of a key that may not manage keys, or not from here."""
        permit(principal, self.path, "gateway", address)
        if SCOPE not in principal.scopes:
            raise ScopeLacking(SCOPE)

    def one(self, principal: Principal) -> Key:
        """Returns the key that the path names, where the asking key may see it; raises Refusal."""
        key = visible(principal).filter(key_id=self.kwargs["key_id"]).first()
        if key is None:
            raise Refusal(404, "No key has this id: GET /api/v1/keys lists them.", kind="key_not_found")
        return key


class KeyListView(KeysView):
    """All keys."""

    @extend_schema(**schema.LIST)
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Lists keys, the newest first, in pages."""
        return await self.run(request, lambda principal: page(request, principal))

    @extend_schema(**schema.ISSUE)
    async def post(self, request: HttpRequest) -> HttpResponse:
        """Issues a key, and shows its secret once."""
        return await self.run(request, lambda principal: self.issue(request, principal))

    def issue(self, request: HttpRequest, principal: Principal) -> HttpResponse:
        """Issues a key of the asking key's team and owner unless it says else."""
        values, limits = given(KeyFields, body(request))
        values = {"team": principal.team, "owner_id": principal.owner_id, **values}
        if "owner" in values:
            del values["owner_id"]
        key = Key(**values)
        key.new_limits = limits
        secret = key.give_secret()
        checked(key)
        asked = {dimension: amount for dimension, amount in limits.items() if amount is not None}
        within(authority_of(principal), key, asked)
        key.save(force_insert=True)
        return json({"key": secret, **described(key), **warned(input_warnings(key))}, 201)


class OneKeyView(KeysView):
    """One key."""

    @extend_schema(**schema.SHOW)
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Shows a key."""
        return await self.run(request, self.show)

    @extend_schema(**schema.CHANGE)
    async def patch(self, request: HttpRequest) -> HttpResponse:
        """Changes a key."""
        return await self.run(request, lambda principal: self.change(request, principal))

    @extend_schema(**schema.REVOKE)
    async def delete(self, request: HttpRequest) -> HttpResponse:
        """Revokes a key."""
        return await self.run(request, self.revoke)

    def show(self, principal: Principal) -> HttpResponse:
        """Shows the key, with what is probably not meant about it."""
        key = self.one(principal)
        return json({**described(key), **warned(input_warnings(key))})

    def change(self, request: HttpRequest, principal: Principal) -> HttpResponse:
        """Changes what the body names; the key may have more than the asking one neither before nor after."""
        key = self.one(principal)
        authority, before = authority_of(principal), key.limits
        within(authority, key, before)
        values, limits = given(KeyChanges, body(request), partial=True)
        for name, value in values.items():
            setattr(key, name, value)
        key.new_limits = limits or None
        checked(key)
        after = {name: amount for name, amount in {**before, **limits}.items() if amount is not None}
        within(authority, key, after, before)
        key.save_changes()
        return json({**described(key), **warned(input_warnings(key))})

    def revoke(self, principal: Principal) -> HttpResponse:
        """Revokes the key for good."""
        key = self.one(principal)
        within(authority_of(principal), key, key.limits)
        key.revoke()
        return json(described(key))


class RotationView(KeysView):
    """A key's secret."""

    @extend_schema(**schema.ROTATE)
    async def post(self, request: HttpRequest) -> HttpResponse:
        """Gives a key a new secret, and shows it once."""
        return await self.run(request, lambda principal: self.rotate(request, principal))

    def rotate(self, request: HttpRequest, principal: Principal) -> HttpResponse:
        """Rotates; whoever may do this to a key gets its secret, so the key may have no more than the asking one."""
        key = self.one(principal)
        within(authority_of(principal), key, key.limits)
        asked = Rotation(data=body(request) if request.body else {})
        asked.is_valid(raise_exception=True)
        secret = key.rotate(timedelta(seconds=asked.validated_data["grace"]))
        return json({"key": secret, **described(key)})


class OwnKeyView(KeysView):
    """The key that asks."""

    path = "/api/v1/key"

    @extend_schema(**schema.OWN)
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Says what the key is and may do; the note is for operators alone."""

        def own(principal: Principal) -> HttpResponse:
            known = described(Key.objects.select_related("owner").get(key_id=principal.key_id))
            return json({name: value for name, value in known.items() if name != "note"})

        return await self.run(request, own)

    def allow(self, principal: Principal, address: str) -> None:
        """Lets any key pass from where it may be used."""
        permit(replace(principal, routes=()), self.path, "gateway", address)


def warned(warnings: list[str]) -> dict[str, list[str]]:
    """Returns the field with the warnings, where there are any."""
    return {"warnings": warnings} if warnings else {}


def visible(principal: Principal) -> KeyQuerySet:
    """Returns the keys that a key may see: of its own team and owner, where it is bound to them."""
    keys = Key.objects.select_related("owner")
    if principal.team:
        keys = keys.filter(team=principal.team)
    return keys if principal.owner_id is None else keys.filter(owner_id=principal.owner_id)


def page(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Returns a page of keys."""
    keys = visible(principal)
    unknown = next((name for name in request.GET if name not in PARAMETERS), None)
    if unknown is not None:
        raise Refusal(400, f"{unknown!r} is no parameter here: choose among {', '.join(PARAMETERS)}.")
    for name in ("team", "owner"):
        if name in request.GET:
            keys = keys.filter(**{"team" if name == "team" else "owner__username": request.GET[name]})
    if "after" in request.GET:
        last = Key.objects.filter(key_id=request.GET["after"]).first()
        if last is None:
            raise Refusal(400, "`after` names no key: take it from `next`.")
        keys = keys.filter(pk__lt=last.pk)
    asked = request.GET.get("page_size", str(PAGE))
    if not (asked.isdecimal() and len(asked) <= len(str(LARGEST_PAGE)) and 1 <= int(asked) <= LARGEST_PAGE):
        raise Refusal(400, f"`page_size` is a number from 1 to {LARGEST_PAGE}.")
    size = int(asked)
    found = list(keys[: size + 1])
    shown = found[:size]
    limits = Allowance.all_of("key", [key.key_id for key in shown])
    following = None
    if len(found) > size:
        query = request.GET.copy()
        query["after"] = shown[-1].key_id
        following = f"{request.path}?{query.urlencode()}"
    return json({"keys": [described(key, limits.get(key.key_id, {})) for key in shown], "next": following})


def body(request: HttpRequest) -> Any:
    """Returns the request's body; raises Refusal where it is no JSON that everyone reads alike."""
    try:
        return strictjson.parse(request.body)
    except strictjson.JSONFault as fault:
        raise Refusal(400, f"The body is not valid JSON: {fault}.") from None


def json(content: object, status: int = 200) -> HttpResponse:
    """Answers with JSON."""
    return HttpResponse(orjson.dumps(content), status=status, content_type="application/json")
