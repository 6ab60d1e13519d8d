"""`manage.py revokeapikey ID`: ends a key for good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from apikeys.keys import find_id
from apikeys.models import Key

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(BaseCommand):
    """Revokes a key by its public id; a whole key is understood too, and never repeated."""

    help = "Revoke an API key for good; running servers refuse it within a second."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Adds the id."""
        parser.add_argument("id", help="the key's public id: the part between its underscores")

    def handle(self, **options: Any) -> None:
        """Revokes the key and says so."""
        key_id = find_id(options["id"].strip())
        if key_id is None:
            # What was typed may hold a secret, so it is not quoted.
            raise CommandError("That is no key id: it has 12 letters and digits. `manage.py listapikeys` shows them.")
        key = Key.objects.filter(key_id=key_id).first()
        if key is None:
            raise CommandError(f"No key has the id {key_id}: `manage.py listapikeys` shows all.")
        if key.revoke():
            self.stdout.write(f"Revoked {key}: running servers refuse it within a second.")
        else:
            self.stdout.write(f"{key} was revoked before, on {key.revoked_at:%Y-%m-%d %H:%M} UTC; nothing to do.")
