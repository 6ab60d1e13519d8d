"""What the API's schema describes: the machine lane's table, and the gateway's own endpoints.

These are never served: the lane finds its paths itself, by their raw spelling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import path

from apikeys import urls as key_urls
from proxy import urls
from proxy.lane import VIEWS
from proxy.openapi.generator import RouteSchema
from proxy.routes import ROUTES
from usage import urls as usage_urls

if TYPE_CHECKING:
    from proxy.views import RelayView


def described(view: type[RelayView]) -> type[RelayView]:
    """Returns a view that describes itself by its rows."""
    return type(view.__name__, (view,), {"schema": RouteSchema()})


in_order = dict.fromkeys(route.path for route in ROUTES)
urlpatterns = [
    *(path(name.removeprefix("/"), described(VIEWS[name]).as_view()) for name in in_order),
    *urls.urlpatterns,
    *key_urls.urlpatterns,
    *usage_urls.urlpatterns,
]
