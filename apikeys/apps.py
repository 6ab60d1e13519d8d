"""The app's registration with Django."""

from __future__ import annotations

from django.apps import AppConfig


class APIKeysConfig(AppConfig):
    """Registers the app."""

    name = "apikeys"
    verbose_name = "Access"

    def ready(self) -> None:
        """Makes the schema know how a key is sent, and the audit trail who comes and goes."""
        from apikeys import openapi, people  # noqa: F401 -- the first registers itself

        people.watch()
