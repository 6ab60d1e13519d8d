"""`manage.py enableapikey ID`: takes back that a key was disabled."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError

from apikeys.management.keycommand import OneKeyCommand
from apikeys.models import Key


class Command(OneKeyCommand):
    """Enables a disabled key."""

    help = "Enable an API key that was disabled."

    def handle(self, **options: Any) -> None:
        """Enables the key and says so."""
        key = self.key(options["id"])
        if Key.objects.filter(pk=key.pk).enable():
            self.stdout.write(f"Enabled {key}: it works again within a second.")
        elif key.revoked_at is not None:
            raise CommandError(f"{key} is revoked, and that is final: issue a new key.")
        else:
            self.stdout.write(f"{key} was not disabled; nothing to do.")
