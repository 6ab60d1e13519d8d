"""`manage.py limit team:research tokens_per_day=1000000`: limits what all keys of an owner or a team use together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError
from django.db import transaction

from apikeys.management.keycommand import LIMITS, KeyCommand, owner
from apikeys.models import Allowance, KeyRevision
from apikeys.models.revision import Deed

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(KeyCommand):
    """Sets, takes away and lists the limits of owners and teams; a key's own are `changeapikey`'s."""

    help = "Limit what an owner or a team uses with all keys together; without arguments, list those limits."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Adds whose limit it is, and what is limited."""
        parser.add_argument("whose", nargs="?", metavar="owner:USER|team:NAME")
        parser.add_argument("limits", nargs="*", metavar="LIMIT=N", help=f"{', '.join(LIMITS)}; 0 takes one away")

    def handle(self, *_args: Any, whose: str | None, limits: list[str], **_options: Any) -> None:
        """Sets the limits, and says what holds then."""
        if whose is None:
            self.list()
            return
        kind, subject = subject_of(whose)
        wanted = dict(map(limit_of, limits))
        if wanted:
            set_limits(kind, subject, whose, wanted)
        held = Allowance.of(kind, subject)
        said = ", ".join(f"{name}={amount}" for name, amount in held.items()) or "no limits"
        self.stdout.write(f"{whose}: {said}" + (" (running servers obey within a second)" if wanted else ""))

    def list(self) -> None:
        """Lists the limits of owners and teams."""
        rows = Allowance.objects.exclude(kind=Allowance.Kind.KEY).order_by("kind", "subject", "dimension")
        for row in rows:
            self.stdout.write(f"{row.kind}:{row.subject}  {row.dimension}={row.amount}")
        if not rows:
            self.stdout.write("No owner and no team has limits: `manage.py limit team:NAME tokens_per_day=1000000`.")


def set_limits(kind: str, subject: str, whose: str, wanted: dict[str, int | None]) -> None:
    """Stores limits, numbers the change for running servers, and audits it."""
    with transaction.atomic():
        revision = KeyRevision.lock()
        before = Allowance.of(kind, subject)
        Allowance.put(kind, subject, wanted)
        changes = {"whose": (None, whose), "limits": (before, Allowance.of(kind, subject))}
        revision.append([Deed("limited", "", changes)])


def subject_of(whose: str) -> tuple[str, str]:
    """Returns the kind and the subject of `team:research` or `owner:ana`; raises CommandError."""
    kind, _, name = whose.partition(":")
    if kind == Allowance.Kind.TEAM and name:
        return kind, name
    if kind == Allowance.Kind.OWNER and name:
        return kind, str(owner(name).pk)
    raise CommandError(f"{whose!r} is nobody: write owner:USER or team:NAME. A key's limits are `changeapikey`'s.")


def limit_of(text: str) -> tuple[str, int | None]:
    """Reads `tokens_per_day=1000`, None for a limit to be taken away; raises CommandError."""
    name, _, amount = text.partition("=")
    name = name.replace("-", "_")
    if name not in LIMITS or not amount.isdecimal():
        raise CommandError(f"{text!r} is no limit: write NAME=N with a name of {', '.join(LIMITS)}.")
    return name, int(amount) or None
