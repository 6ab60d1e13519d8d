"""`manage.py disableapikey ID`: makes a key good for nothing until it is enabled again."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError

from apikeys.management.keycommand import OneKeyCommand
from apikeys.models import Key


class Command(OneKeyCommand):
    """Disables a key, which `enableapikey` takes back."""

    help = "Disable an API key until it is enabled again; running servers refuse it within a second."

    def handle(self, **options: Any) -> None:
        """Disables the key and says so."""
        key = self.key(options["id"])
        if Key.objects.filter(pk=key.pk).disable():
            self.stdout.write(f"Disabled {key}: running servers refuse it within a second; enableapikey takes it back.")
        elif key.revoked_at is not None:
            raise CommandError(f"{key} is revoked, and refused for good.")
        else:
            self.stdout.write(f"{key} was disabled before; nothing to do.")
