"""The app's registration with Django."""

from __future__ import annotations

from django.apps import AppConfig


class APIKeysConfig(AppConfig):
    """Registers the app."""

    name = "apikeys"
