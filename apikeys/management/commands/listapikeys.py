"""`manage.py listapikeys`: all keys, as a table or as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand

from apikeys.description import described
from apikeys.models import Allowance, Key

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from datetime import datetime

HEAD = ("ID", "LABEL", "STATE", "OWNER", "TEAM", "CREATED", "LAST USED", "EXPIRES")


class Command(BaseCommand):
    """Lists all keys, the newest first."""

    help = "List all API keys, the newest first; times are UTC."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Adds the options."""
        parser.add_argument("--json", action="store_true", help="print a JSON array with all that is known of them")

    def handle(self, **options: Any) -> None:
        """Prints the table."""
        keys = Key.objects.select_related("owner")
        if options["json"]:
            limits = Allowance.all_of("key")
            everything = [described(key, limits.get(key.key_id, {})) for key in keys]
            self.stdout.write(json.dumps(everything, indent=2, ensure_ascii=False))
            return
        rows = [row(key) for key in keys]
        if not rows:
            self.stdout.write("There is no key yet: `manage.py createapikey` makes one.")
            return
        widths = [max(map(len, column)) for column in zip(HEAD, *rows, strict=True)]
        for line in (HEAD, *rows):
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())


def row(key: Key) -> tuple[str, ...]:
    """Returns a key's cells."""
    owner = key.owner.get_username() if key.owner else "–"
    times = (key.created, key.last_used, key.expires)
    return (key.key_id, key.label, key.state.value, owner, key.team or "–", *(when(moment) for moment in times))


def when(moment: datetime | None) -> str:
    """Returns a moment to the minute."""
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "never"
