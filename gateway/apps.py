"""The gateway as a Django app, for its commands and system checks."""

from __future__ import annotations

from django.apps import AppConfig


class GatewayConfig(AppConfig):
    """Registers the start-up checks."""

    name = "gateway"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Loads the module whose import registers them, and says how the models on the Ollama are asked for."""
        from apikeys.input_warnings import installed_models
        from gateway import checks  # noqa: F401 -- imported for its effect
        from gateway.probe import InstalledModels

        installed_models.source = InstalledModels()
