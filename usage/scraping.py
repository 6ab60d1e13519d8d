"""`GET /metrics`: the counters for Prometheus, for those who may read them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema

from apikeys.authentication import APIKeyAuthentication
from apikeys.permissions import HasAPIKey, permit, within
from apikeys.principal import Principal
from gateway.rest import AsyncAPIView, Refusal
from usage.metrics import metrics
from usage.openapi import METRICS

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView

# Prometheus' text format.
TEXT = "text/plain; version=0.0.4; charset=utf-8"


class MayReadMetrics(HasAPIKey):
    """Lets pass a key with the scope `metrics`, and whoever calls from one of METRICS_ADDRESSES."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Returns True; raises NotAuthenticated, or Refusal for a key without the scope."""
        address = request.META.get("REMOTE_ADDR", "")
        if within(address, tuple(settings.ENV.METRICS_ADDRESSES)):
            return True
        super().has_permission(request, view)
        if isinstance(request.user, Principal):
            if "metrics" not in request.user.scopes:
                raise Refusal(403, "This key may not read the metrics: it needs the scope `metrics`.")
            permit(replace(request.user, routes=()), "/metrics", "gateway", address)
        return True


class MetricsView(AsyncAPIView):
    """Lets Prometheus read the counters."""

    authentication_classes = (APIKeyAuthentication,)
    permission_classes = (MayReadMetrics,)

    @extend_schema(**METRICS)
    async def get(self, _request: HttpRequest) -> HttpResponse:
        """Answers with all of them."""
        await metrics.prepare()
        text = "".join(f"{line}\n" for line in metrics.lines())
        return HttpResponse(text, content_type=TEXT, headers={"Cache-Control": "no-store"})
