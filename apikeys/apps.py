"""The app's registration with Django."""

from __future__ import annotations

from django.apps import AppConfig


class APIKeysConfig(AppConfig):
    """Registers the app."""

    name = "apikeys"
    verbose_name = "Access"

    def ready(self) -> None:
        """Makes the schema know how a key is sent."""
        from apikeys import openapi  # noqa: F401 -- registers itself
