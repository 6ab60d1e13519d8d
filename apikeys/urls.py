"""The app's own endpoints; they take the stock path."""

from __future__ import annotations

from django.urls import path

from apikeys.api.limits import LimitListView, OneLimitView
from apikeys.api.views import KeyListView, OneKeyView, OwnKeyView, RotationView

urlpatterns = [
    path("api/v1/key", OwnKeyView.as_view(), name="key"),
    path("api/v1/keys", KeyListView.as_view(), name="keys"),
    path("api/v1/keys/<str:key_id>", OneKeyView.as_view()),
    path("api/v1/keys/<str:key_id>/rotate", RotationView.as_view()),
    path("api/v1/limits", LimitListView.as_view(), name="limits"),
    path("api/v1/limits/<path:whose>", OneLimitView.as_view()),
]
