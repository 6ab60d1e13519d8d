"""`manage.py listapikeys`: a table of all keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand

from apikeys.models import Key

if TYPE_CHECKING:
    from datetime import datetime

HEAD = ("ID", "LABEL", "STATE", "CREATED", "LAST USED", "EXPIRES")


class Command(BaseCommand):
    """Lists all keys, the newest first."""

    help = "List all API keys, the newest first; times are UTC."

    def handle(self, **_options: Any) -> None:
        """Prints the table."""
        rows = [_row(key) for key in Key.objects.all()]
        if not rows:
            self.stdout.write("There is no key yet: `manage.py createapikey` makes one.")
            return
        widths = [max(map(len, column)) for column in zip(HEAD, *rows, strict=True)]
        for row in (HEAD, *rows):
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())


def _row(key: Key) -> tuple[str, ...]:
    return (key.key_id, key.label, key.state.value, _when(key.created), _when(key.last_used), _when(key.expires))


def _when(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "never"
