"""The app's own endpoints; they take the stock path."""

from __future__ import annotations

from django.urls import path

from usage.scraping import MetricsView
from usage.views import UsageView

urlpatterns = [
    path("api/v1/usage", UsageView.as_view(), name="usage"),
    path("metrics", MetricsView.as_view(), name="metrics"),
]
