"""`manage.py listapikeys`: keys, as a table or as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apikeys.description import described
from apikeys.expiry import parse_duration
from apikeys.lists import SCOPES, parts
from apikeys.management.keycommand import owner
from apikeys.models import Allowance, Key

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from datetime import datetime

HEAD = ("ID", "LABEL", "STATE", "OWNER", "TEAM", "CREATED", "LAST USED", "EXPIRES")
NONE = "-"  # what an owner or a team is called where there is none


class Command(BaseCommand):
    """Lists keys, the newest first."""

    help = "List API keys, the newest first; times are UTC. Filters that are given must all match."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Adds the filters and the form."""
        parser.add_argument("--team", metavar="NAME", help=f"only keys of this team; {NONE} for keys without one")
        parser.add_argument("--owner", metavar="USER", help=f"only keys of this user; {NONE} for keys without an owner")
        parser.add_argument("--state", choices=Key.State.values, help="only keys in this state")
        parser.add_argument("--label", metavar="TEXT", help="only keys whose label has this text in it")
        parser.add_argument("--scope", choices=tuple(SCOPES), help="only keys with this scope")
        parser.add_argument("--expiring", metavar="TIME", help="only keys that expire within this time: 12h, 7d, 4w")
        parser.add_argument("--unused", metavar="TIME", help="only keys that were not used for this time, or never")
        parser.add_argument("--json", action="store_true", help="print a JSON array with all that is known of them")

    def handle(self, **options: Any) -> None:
        """Prints the keys."""
        keys = chosen(options)
        if options["json"]:
            limits = Allowance.all_of("key")
            everything = [described(key, limits.get(key.key_id, {})) for key in keys]
            self.stdout.write(json.dumps(everything, indent=2, ensure_ascii=False))
            return
        rows = [row(key) for key in keys]
        if not rows:
            there = Key.objects.exists()
            none = "No key matches." if there else "There is no key yet: `manage.py createapikey` makes one."
            self.stdout.write(none)
            return
        widths = [max(map(len, column)) for column in zip(HEAD, *rows, strict=True)]
        for line in (HEAD, *rows):
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())


def chosen(options: dict[str, Any]) -> list[Key]:
    """Returns the keys that match all filters; raises CommandError for a filter that can't be one."""
    keys = Key.objects.select_related("owner")
    if options["team"] is not None:
        keys = keys.filter(team="" if options["team"] == NONE else options["team"])
    if options["owner"] is not None:
        keys = keys.filter(owner=None if options["owner"] == NONE else owner(options["owner"]))
    if options["label"] is not None:
        keys = keys.filter(label__icontains=options["label"])
    now = timezone.now()
    try:
        if options["expiring"] is not None:
            keys = keys.not_revoked().filter(expires__gt=now, expires__lte=now + parse_duration(options["expiring"]))
        if options["unused"] is not None:
            keys = keys.exclude(last_used__gt=now - parse_duration(options["unused"]))
    except ValueError as error:
        raise CommandError(str(error)) from None
    except OverflowError:
        raise CommandError("That is longer than any calendar: write 12h, 7d or 4w.") from None
    return [
        key
        for key in keys
        if (options["state"] is None or key.state.value == options["state"])
        and (options["scope"] is None or options["scope"] in parts(key.scopes))
    ]


def row(key: Key) -> tuple[str, ...]:
    """Returns a key's cells."""
    owner = key.owner.get_username() if key.owner else "–"
    times = (key.created, key.last_used, key.expires)
    return (key.key_id, key.label, key.state.value, owner, key.team or "–", *(when(moment) for moment in times))


def when(moment: datetime | None) -> str:
    """Returns a moment to the minute."""
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "never"
