"""The gateway as a Django app, for its commands and system checks."""

from __future__ import annotations

from django.apps import AppConfig


class GatewayConfig(AppConfig):
    """Registers the start-up checks."""

    name = "gateway"
