"""`manage.py pruneusage`: deletes old records of calls."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from usage.models import UsageRecord
from usage.pruning import cutoff, prune

if TYPE_CHECKING:
    from datetime import datetime

    from django.core.management.base import CommandParser

# Between two portions: others want to write, too.
PAUSE = 0.005


class Command(BaseCommand):
    """Prunes what the server itself prunes daily."""

    help = "Delete records of calls that are older than some days; the sums by hour, day and month are kept for good."

    def add_arguments(self, parser: CommandParser) -> None:
        """Takes the days."""
        parser.add_argument("--days", type=int, default=settings.ENV.RECORD_DAYS, help="RECORD_DAYS if not given")
        parser.add_argument("--yes", "--no-input", action="store_true", help="do not ask, at a terminal either")

    def handle(self, *, days: int, yes: bool = False, **_options: Any) -> None:
        """Deletes, portion by portion; asks at a terminal, and goes on where there is none, as jobs need it."""
        if days < 0:
            raise CommandError("--days takes a number of days: 0 or more.")
        before, count = cutoff(days), 0
        if not yes and sys.stdin.isatty():
            ask(before)
        while pruned := prune(before):
            count += pruned
            time.sleep(PAUSE)
        self.stdout.write(f"{count} records from before {before:%Y-%m-%d %H:%M} are deleted.")


def ask(before: datetime) -> None:
    """Asks before records are deleted; raises CommandError unless the answer is yes."""
    count = UsageRecord.objects.filter(at__lt=before).count()
    try:
        answer = input(f"Delete {count} records from before {before:%Y-%m-%d %H:%M}, for good? [y/N] ")
    except (EOFError, KeyboardInterrupt):
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise CommandError("Nothing was deleted.")
