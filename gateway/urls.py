"""Where people's pages and the open endpoints live; the machine lane has its own table (proxy/routes.py)."""

from __future__ import annotations

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from gateway.pages import DocsView, HomeView

urlpatterns = [
    path("", HomeView.as_view(), name="home"),
    path("docs", DocsView.as_view(), name="docs"),
    path("api/docs", DocsView.as_view()),
    path("favicon.ico", RedirectView.as_view(url=static("gateway/favicon.svg"), permanent=True)),
    path("admin/", admin.site.urls),
    path("", include("proxy.urls")),
    path("", include("apikeys.urls")),
    path("", include("usage.urls")),
]

handler400 = "gateway.errors.bad_request"
handler403 = "gateway.errors.permission_denied"
handler404 = "gateway.errors.page_not_found"
handler500 = "gateway.errors.server_error"
