"""The gateway's own endpoints for programs; they take the stock path."""

from __future__ import annotations

from django.urls import path

from proxy.health import HealthView, LiveView, ReadyView

urlpatterns = [
    path("health", HealthView.as_view()),
    path("health/ready", ReadyView.as_view()),
    path("health/live", LiveView.as_view()),
]
