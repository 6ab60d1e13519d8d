"""The app's registration with Django."""

from __future__ import annotations

from django.apps import AppConfig


class EngineConfig(AppConfig):
    """Registers the app."""

    name = "engine"
