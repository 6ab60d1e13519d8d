"""Where people's pages and the open endpoints live; the machine lane has its own table (proxy/routes.py)."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from gateway.pages import DocsView, HomeView, ShimView


class FaviconView(RedirectView):
    """Sends browsers that guess to the icon."""

    permanent = True

    def get_redirect_url(self, *_args: Any, **_named: Any) -> str:
        """Returns the icon's address."""
        return static("gateway/favicon.svg")


urlpatterns = [
    path("", HomeView.as_view(), name="home"),
    path("shim.py", ShimView.as_view(), name="shim"),
    path("docs", DocsView.as_view(), name="docs"),
    path("api/docs", DocsView.as_view()),
    path("favicon.ico", FaviconView.as_view()),
    path("admin/", admin.site.urls),
    path("", include("proxy.urls")),
    path("", include("apikeys.urls")),
    path("", include("usage.urls")),
]

handler400 = "gateway.errors.bad_request"
handler403 = "gateway.errors.permission_denied"
handler404 = "gateway.errors.page_not_found"
handler500 = "gateway.errors.server_error"
