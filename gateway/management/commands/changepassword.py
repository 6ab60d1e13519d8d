"""Django's `changepassword`, named in the audit trail."""

from __future__ import annotations

from django.contrib.auth.management.commands.changepassword import Command as ChangePassword

from apikeys.management.keycommand import KeyCommand


class Command(KeyCommand, ChangePassword):
    """Changes a user's password."""
