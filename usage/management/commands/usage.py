"""`manage.py usage`: what was used, as a table, JSON or CSV."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from apikeys.keys import find_id
from apikeys.models import Key
from usage.names import with_names
from usage.reading import lines, total
from usage.reports import COLUMNS, FIELDS, Question, as_dict, of
from usage.spans import parse_day
from usage.written import as_csv, as_table

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

DAYS = 30
LONGEST_NUMBER = 18  # digits that every database takes
# The table's columns; JSON and CSV have them all.
SHOWN = ("requests", "errors", "prompt_tokens", "completion_tokens", "tokens", "gpu_seconds")


class Command(BaseCommand):
    """Reports usage from the roll-ups."""

    help = "Show what was used, by key and in the last 30 days unless told otherwise. Days are UTC."

    def add_arguments(self, parser: CommandParser) -> None:
        """Takes what to tell apart, the days, and the form."""
        parser.add_argument("--by", type=parts, default=("key",), metavar="A[,B]", help=f"{', '.join(COLUMNS)}")
        parser.add_argument("--since", type=day, help="first day, like 2026-11-01")
        parser.add_argument("--until", type=day, help="last day, included; today if not given")
        parser.add_argument("--key", help="only the key with this id; a whole key is understood too")
        parser.add_argument("--owner", metavar="USER", help="only keys of the user with this name or number")
        parser.add_argument("--team", help="only keys of this team")
        parser.add_argument("--model", help="only this model")
        form = parser.add_mutually_exclusive_group()
        form.add_argument("--json", action="store_true", help="write JSON")
        form.add_argument("--csv", action="store_true", help="write CSV")

    def handle(self, **options: Any) -> None:
        """Prints the report."""
        until = options["until"] or datetime.now(UTC).date()
        since = options["since"] or until - timedelta(days=DAYS - 1)
        if since > until:
            raise CommandError(f"--since {since} comes after --until {until}: swap them.")
        only = {name: options[name] for name in ("key", "owner", "team", "model") if options[name] is not None}
        if "key" in only:
            only["key"] = key_id(only["key"])
        if "owner" in only:
            only["owner"] = owner_number(only["owner"])
        question = Question(since, until, options["by"], only)
        rows = with_names([as_dict(line, question.by) for line in lines(question)], question.by)
        names = [name for name in (rows[0] if rows else question.by) if name not in FIELDS]
        if options["json"]:
            self.stdout.write(json.dumps(rows, indent=2))
        elif options["csv"]:
            self.stdout.write(as_csv([*names, *FIELDS], rows), ending="")
        elif not rows:
            self.stdout.write(f"Nothing was used from {since} to {until}.")
        else:
            if "day" not in question.by:
                rows.sort(key=lambda row: -row["tokens"])
            everything = {**dict.fromkeys(names, ""), names[0]: "total", **of(total(question))}
            self.stdout.write(as_table([*names, *SHOWN], [*rows, everything]))


def key_id(text: str) -> str:
    """Returns the id of the key that is meant; raises CommandError where there is none."""
    found = find_id(text.strip())
    if found is None or not Key.objects.filter(key_id=found).exists():
        # What was typed may hold a secret, so only an id is quoted.
        what = f"Unknown key {found}" if found else "That is no key id: it has 12 letters and digits"
        raise CommandError(f"{what}. `manage.py listapikeys` shows all keys.")
    return found


def owner_number(text: str) -> int:
    """Returns the number of the user with that name, or the number itself; raises CommandError."""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER else None
    user = User.objects.filter(username=text).first()
    if user is not None and (number is None or not User.objects.filter(pk=number).exists()):
        return user.pk
    if number is None:
        raise CommandError(f"No user is called {text!r}.")
    return number  # of a user who may have been deleted since


def parts(text: str) -> tuple[str, ...]:
    """Reads --by."""
    found = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = next((name for name in found if name not in COLUMNS), None)
    if unknown is not None or not found:
        raise argparse.ArgumentTypeError(f"list one or more of {', '.join(COLUMNS)}, not {text!r}")
    return found


def day(text: str) -> date:
    """Reads a day."""
    try:
        return parse_day(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
