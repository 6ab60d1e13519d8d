"""Django's `createsuperuser`, named in the audit trail."""

from __future__ import annotations

from django.contrib.auth.management.commands.createsuperuser import Command as CreateSuperuser

from apikeys.management.keycommand import KeyCommand


class Command(KeyCommand, CreateSuperuser):
    """Makes a superuser."""
