"""The gateway's own endpoints for programs; they take the stock path."""

from __future__ import annotations

from django.urls import path

from proxy.health import HealthView, LiveView, ReadyView
from proxy.info import InfoView
from proxy.schema import SchemaView

urlpatterns = [
    path("api/info", InfoView.as_view(), name="info"),
    path("api/schema", SchemaView.as_view(), name="schema"),
    path("health", HealthView.as_view(), name="health"),
    path("health/ready", ReadyView.as_view()),
    path("health/live", LiveView.as_view()),
]
