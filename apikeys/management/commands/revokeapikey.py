"""`manage.py revokeapikey ID`: ends a key for good."""

from __future__ import annotations

from typing import Any

from apikeys.management.keycommand import OneKeyCommand


class Command(OneKeyCommand):
    """Revokes a key."""

    help = "Revoke an API key for good; running servers refuse it within a second."

    def handle(self, **options: Any) -> None:
        """Revokes the key and says so."""
        key = self.key(options["id"])
        if key.revoke():
            self.stdout.write(f"Revoked {key}: running servers refuse it within a second.")
        else:
            self.stdout.write(f"{key} was revoked before, on {key.revoked_at:%Y-%m-%d %H:%M} UTC; nothing to do.")
