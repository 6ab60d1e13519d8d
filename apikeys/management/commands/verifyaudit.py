"""`manage.py verifyaudit`: finds what was changed, removed or cut in the audit trail."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apikeys.chain import UnknownPepper, flaws, id_of, secret_of
from apikeys.models import AuditEntry, Key, KeyRevision

if TYPE_CHECKING:
    from argparse import ArgumentParser

MOST_SHOWN = 20
# Exit codes.
TAMPERED, UNCHECKED = 1, 3


class Command(BaseCommand):
    """Checks every entry's seal, and that none is missing, at the end neither."""

    help = (
        "Check the audit trail; exit code 1 when an entry was changed, removed or cut off, 3 when all that can be "
        "checked is whole, but some entries can't be without an older pepper."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Adds an end to compare with."""
        parser.add_argument(
            "--end", metavar="NUMBER:SEAL", help="an end that the log has named: the trail must still pass through it"
        )
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *, end: str | None, **options: Any) -> None:
        """Says that all is well, or what is not; raises CommandError with the exit code."""
        head = KeyRevision.objects.filter(pk=1).first() or KeyRevision(latest=0, seal="")
        secrets = [secret_of(pepper) for pepper in (settings.KEY_PEPPER, *settings.KEY_PEPPER_FALLBACKS)]
        entries = AuditEntry.objects.order_by("number")
        found = list(flaws((entry.sealed() for entry in entries.iterator()), secrets))
        found += cut(head, entries.last())
        if end is not None:
            found += passes(end)
        unchecked = [line for line in found if isinstance(line, UnknownPepper)]
        tampered = [line for line in found if not isinstance(line, UnknownPepper)]
        count = entries.count()
        older = entries.filter(secret_id__in=[id_of(secret) for secret in secrets[1:]]).count()
        if options["json"]:
            report = {
                "whole": not found,
                "entries": count,
                "older_pepper": older,
                "unknown_pepper": len(unchecked),
                "flaws": tampered,
                "end": head.end,
            }
            self.stdout.write(json.dumps(report, indent=2))
        for line in (*tampered, *unchecked)[:MOST_SHOWN]:
            self.stderr.write(line)
        if tampered:
            flawed = f"{len(tampered)} flaw{'s' * (len(tampered) > 1)}"
            raise CommandError(f"The audit trail is not whole: {flawed}.", returncode=TAMPERED)
        if unchecked:
            raise CommandError(
                f"{len(unchecked)} of {count} entries were sealed with a pepper that is not known here, and can't be "
                "checked; the others are whole. Put the older pepper into KEY_PEPPER_FALLBACKS to check them.",
                returncode=UNCHECKED,
            )
        if not options["json"]:
            sealed = f" ({older} sealed with a pepper of KEY_PEPPER_FALLBACKS)" if older else ""
            self.stdout.write(f"The audit trail is whole: {count} entries{sealed}, the end is {head.end}")


def cut(head: KeyRevision, last: AuditEntry | None) -> list[str]:
    """Says what is missing at the trail's end, by what else in the database knows of it."""
    number, seal = (last.number, last.seal) if last else (0, "")
    if last is None and head.latest and not head.seal:
        return []  # a database from before there was a trail
    if (number, seal) != (head.latest, head.seal):
        return [f"The trail ends with entry {number}, and its end is noted as {head.latest}: entries are cut off."]
    if Key.objects.last_revision() > number:
        return [f"A key was changed after entry {number}, the trail's last: entries are cut off."]
    return []


def passes(end: str) -> list[str]:
    """Says whether the trail has the entry that the log named as its end; raises CommandError for no such name."""
    number, _, seal = end.partition(":")
    if not number.isdecimal() or not seal:
        raise CommandError("--end takes what the log says, as in --end 42:0a1b…")
    if int(number) == 0 or AuditEntry.objects.filter(number=int(number), seal=seal).exists():
        return []
    return [
        f"Entry {number}, which the log named as the end, is missing or another one: the trail was cut or rewritten."
    ]
