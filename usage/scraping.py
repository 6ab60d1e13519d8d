"""`GET /metrics`: the counters for Prometheus, for those who may read them."""

from __future__ import annotations

import ipaddress
from functools import cache
from typing import TYPE_CHECKING

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema

from apikeys.authentication import APIKeyAuthentication
from apikeys.permissions import HasAPIKey
from apikeys.principal import Principal
from gateway.rest import AsyncAPIView, Refusal
from usage.metrics import metrics

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView

# Prometheus' text format.
TEXT = "text/plain; version=0.0.4; charset=utf-8"


class MayReadMetrics(HasAPIKey):
    """Lets pass a key with the scope `metrics`, and whoever calls from one of METRICS_ADDRESSES."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Returns True; raises NotAuthenticated, or Refusal for a key without the scope."""
        if listed(request.META.get("REMOTE_ADDR", "")):
            return True
        super().has_permission(request, view)
        if isinstance(request.user, Principal) and "metrics" not in request.user.scopes:
            raise Refusal(403, "This key may not read the metrics: it needs the scope `metrics`.")
        return True


def listed(address: str) -> bool:
    """Tells whether an address is among METRICS_ADDRESSES."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    # A socket that listens for both families writes 192.0.2.7 as ::ffff:192.0.2.7.
    plain = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(plain in network for network in networks(tuple(settings.ENV.METRICS_ADDRESSES)))


@cache
def networks(texts: tuple[str, ...]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Returns networks, read once."""
    return [ipaddress.ip_network(text) for text in texts]


class MetricsView(AsyncAPIView):
    """Lets Prometheus read the counters."""

    authentication_classes = (APIKeyAuthentication,)
    permission_classes = (MayReadMetrics,)

    @extend_schema(exclude=True)
    async def get(self, _request: HttpRequest) -> HttpResponse:
        """Answers with all of them."""
        text = "".join(f"{line}\n" for line in metrics.lines())
        return HttpResponse(text, content_type=TEXT, headers={"Cache-Control": "no-store"})
