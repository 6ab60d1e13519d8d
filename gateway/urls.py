"""Where people's pages and the open endpoints live; the machine lane has its own table (proxy/routes.py)."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("proxy.urls")),
]
