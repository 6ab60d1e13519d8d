"""`manage.py calls`: single calls, served or refused, as a table or as JSON."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q

from apikeys.models import Key
from usage.call_search import FAILED, has_id, has_status, key_of, not_kept, since, until
from usage.figures import duration
from usage.models import UsageRecord
from usage.names import labels, owners
from usage.reading import spellings
from usage.written import as_table

if TYPE_CHECKING:
    from django.core.management.base import CommandParser
    from django.db.models import QuerySet

LAST = 50
MOST = 100_000
# The table's columns; JSON has all that is known.
COLUMNS = (
    "ended_at",
    "status",
    "ended",
    "error",
    "label",
    "model",
    "route",
    "client_library",
    "took",
    "request_id",
    "why",
)
HIDDEN = ("id", "at", "user_agent")


class Command(BaseCommand):
    """Shows calls."""

    help = "Show the last calls, refused ones included, the newest first. Times and days are UTC."

    def add_arguments(self, parser: CommandParser) -> None:
        """Takes what to look for, how many, and the form."""
        parser.add_argument("--id", help="the call with this request id (X-Request-ID)")
        parser.add_argument("--key", help="only calls with this key: its id, or the whole key")
        parser.add_argument("--team", help="only calls of keys of this team")
        parser.add_argument("--owner", metavar="NAME", help="only calls of this user's keys")
        parser.add_argument("--model", help="only calls to this model")
        parser.add_argument(
            "--status", help=f"only calls with this status: 429, 5xx, or `{FAILED}` for all that failed"
        )
        parser.add_argument("--error", metavar="CODE", help="only calls that failed with this code (docs/logging.md)")
        parser.add_argument("--day", type=day, help="only calls of this day, like 2026-11-28")
        parser.add_argument("--since", type=day, help="only calls of this day or later")
        parser.add_argument("--until", type=day, help="only calls of this day or before")
        parser.add_argument("--last", type=count, default=LAST, metavar="N", help=f"so many at most ({LAST})")
        parser.add_argument("--json", action="store_true", help="write a JSON array with all that is known of them")

    def handle(self, **options: Any) -> None:
        """Prints the calls."""
        if options["since"] and options["until"] and options["since"] > options["until"]:
            raise CommandError(f"--since {options['since']} comes after --until {options['until']}: swap them.")
        records = list(chosen(options).order_by("-at", "-pk")[: options["last"]])
        rows = described(records)
        if options["json"]:
            self.stdout.write(json.dumps(rows, indent=2))
            return
        if not rows:
            self.stdout.write("No matching calls.")
        else:
            self.stdout.write(as_table(COLUMNS, [brief(row) for row in rows]))
        self.say_unrecorded(options)

    def say_unrecorded(self, options: dict[str, Any]) -> None:
        """Says how many refused calls of these days have no record."""
        if options["id"] or options["team"] or options["owner"] or options["model"]:
            return  # they are counted by key alone
        first = options["day"] or options["since"] or date.min
        last = options["day"] or options["until"] or datetime.now(UTC).date()
        key = key_of(options["key"]) if options["key"] else ""
        lost = not_kept(first, last, key, [options["error"]] if options["error"] else [])
        if lost.unrecorded:
            self.stderr.write(
                f"{lost.unrecorded} of {lost.seen} refused calls have no record: of many alike only some are kept."
            )


def chosen(options: dict[str, Any]) -> QuerySet[UsageRecord]:
    """Returns the calls that the options ask for; raises CommandError for what can't be."""
    calls = UsageRecord.objects.filter(whose(options))
    if options["id"]:
        calls = calls.filter(has_id(options["id"]))
    if options["status"]:
        status = has_status(options["status"].lower())
        if status is None:
            raise CommandError(f"Invalid status {options['status']!r}: write 429, 5xx or `{FAILED}`.")
        calls = calls.filter(status)
    if options["error"]:
        calls = calls.filter(error=options["error"])
    if options["model"]:
        calls = calls.filter(model__in=spellings(options["model"]))
    first, last = options["day"] or options["since"], options["day"] or options["until"]
    if first:
        calls = calls.filter(since(first))
    return calls.filter(until(last)) if last else calls


def whose(options: dict[str, Any]) -> Q:
    """Returns the condition whose calls are asked for; raises CommandError for somebody unknown."""
    condition = Q()
    if options["key"]:
        key = key_of(options["key"])
        if not Key.objects.filter(key_id=key).exists() and not UsageRecord.objects.filter(key=key).exists():
            raise CommandError(f"Unknown key {key[:32]!r}: `manage.py listapikeys` lists them.")
        condition &= Q(key=key)
    if options["owner"]:
        user = User.objects.filter(username=options["owner"]).first()
        if user is None:
            raise CommandError(f"Unknown user {options['owner']!r}.")
        condition &= Q(owner=user.pk)
    return condition & Q(team=options["team"]) if options["team"] else condition


def described(records: list[UsageRecord]) -> list[dict[str, Any]]:
    """Returns all that is known of calls."""
    named = labels({record.key for record in records})
    users = owners({record.owner for record in records if record.owner is not None})
    fields = [field.name for field in UsageRecord._meta.fields if field.name not in HIDDEN]  # noqa: SLF001 -- Django's documented way to fields
    return [
        {
            "ended_at": record.at.astimezone(UTC).isoformat(timespec="milliseconds"),
            **{name: getattr(record, name) for name in fields},
            "label": named.get(record.key, ""),
            "owner_name": users.get(record.owner or 0, ""),
            "client_library": record.user_agent,
        }
        for record in records
    ]


def brief(row: dict[str, Any]) -> dict[str, Any]:
    """Returns a call's cells in the table."""
    shown = {name: row.get(name) or "–" for name in COLUMNS}
    return {
        **shown,
        "ended_at": row["ended_at"][:19].replace("T", " "),
        "status": str(row["status"]),
        "label": row["label"] or row["key"],
        "took": duration(row["total"]),
        "why": row["reason"] or "–",
    }


def day(text: str) -> date:
    """Reads a day."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"Invalid day {text!r}: write it like 2026-11-28") from None


def count(text: str) -> int:
    """Reads how many."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(MOST)) and 1 <= int(text) <= MOST):
        raise argparse.ArgumentTypeError(f"Invalid count {text!r}: write a number from 1 to {MOST}")
    return int(text)
