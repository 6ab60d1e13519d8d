"""The app's registration with Django."""

from __future__ import annotations

from django.apps import AppConfig


class ProxyConfig(AppConfig):
    """Registers the app."""

    name = "proxy"
