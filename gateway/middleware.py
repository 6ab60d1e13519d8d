"""Django's middleware for people's pages, where the gateway needs a difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.middleware.common import CommonMiddleware as DjangoCommonMiddleware

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponsePermanentRedirect

HEALTH = frozenset({"/health", "/health/live", "/health/ready"})


class CommonMiddleware(DjangoCommonMiddleware):
    """Lets health checks name any host: load balancers use addresses, and the answers say nothing about hosts."""

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        """Refuses hosts that are not among ALLOWED_HOSTS, except for health checks."""
        return None if request.path_info in HEALTH else super().process_request(request)
