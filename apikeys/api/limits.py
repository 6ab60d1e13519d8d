"""`/api/v1/limits`: what owners and teams may use with all their keys together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema

from apikeys.api import schema
from apikeys.api.bounds import authority_of
from apikeys.api.serializers import LimitFields
from apikeys.api.views import KeysView, body, json, warned
from apikeys.models import Allowance
from apikeys.whose import Nobody, Whose, limited, whose
from gateway.rest import Refusal

if TYPE_CHECKING:
    from apikeys.principal import Principal


class LimitsView(KeysView):
    """What the endpoints here share."""

    path = "/api/v1/limits"


class LimitListView(LimitsView):
    """All owners and teams that have limits."""

    @extend_schema(**schema.LIMITS)
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Lists them; a key that is bound to a team or an owner sees those alone."""
        return await self.run(request, lambda principal: json({"limits": list(map(written, seen_by(principal)))}))


class OneLimitView(LimitsView):
    """The limits of one owner or team."""

    @extend_schema(**schema.LIMIT)
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Shows them."""
        return await self.run(request, lambda principal: json(written(self.one(principal))))

    @extend_schema(**schema.SET_LIMIT)
    async def patch(self, request: HttpRequest) -> HttpResponse:
        """Changes those that the body names; null takes one away."""
        return await self.run(request, lambda principal: self.change(request, principal))

    def one(self, principal: Principal) -> Whose:  # type: ignore[override] # whom the path names here is no key
        """Returns whom the path names; raises Refusal for those whom the key may not see."""
        own = (Allowance.Kind.TEAM, principal.team), (Allowance.Kind.OWNER, str(principal.owner_id))
        try:
            found = whose(self.kwargs["whose"])
            if is_held(principal) and found[:2] not in own:
                raise Nobody
        except Nobody as error:
            # Whoever sees few may not find out who else there is.
            said = "This key sees the limits of its own team and owner alone." if is_held(principal) else str(error)
            raise Refusal(404, said, kind="nobody") from None
        return found

    def change(self, request: HttpRequest, principal: Principal) -> HttpResponse:
        """Sets limits; a key that is bound itself can't, since it could loosen what binds it or hold back others."""
        found = self.one(principal)
        if not authority_of(principal).may_limit_others:
            raise Refusal(
                403, "A key that has rules or limits of its own can't set those of others.", kind="more_than_own"
            )
        checked = LimitFields(data=body(request))
        checked.is_valid(raise_exception=True)
        given = dict(checked.validated_data)
        found.limit(given)
        return json({**written(found), **warned(found.warnings if any(given.values()) else [])})


def is_held(principal: Principal) -> bool:
    """Tells whether a key is of a team or an owner."""
    return bool(principal.team) or principal.owner_id is not None


def seen_by(principal: Principal) -> list[Whose]:
    """Returns the owners and teams with limits that a key may see."""
    return limited(principal.team, principal.owner_id) if is_held(principal) else limited()


def written(one: Whose) -> dict[str, Any]:
    """Returns limits as JSON has them."""
    return {"whose": str(one), "limits": one.limits}
