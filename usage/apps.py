"""The app's registration with Django."""

from __future__ import annotations

from django.apps import AppConfig


class UsageConfig(AppConfig):
    """Registers the app."""

    name = "usage"
    verbose_name = "Usage"
    default_auto_field = "django.db.models.BigAutoField"
