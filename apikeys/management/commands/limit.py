"""`manage.py limit team:research tokens_per_day=1000000`: limits what all keys of an owner or a team use together."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from apikeys.management.keycommand import LIMITS, KeyCommand
from apikeys.whose import Nobody, Whose, known, limited
from apikeys.whose import whose as named

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(KeyCommand):
    """Sets, takes away and lists the limits of owners and teams; a key's own are `changeapikey`'s."""

    help = "Limit what an owner or a team uses with all keys together; without arguments, list those limits."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Adds whose limit it is, and what is limited."""
        parser.add_argument("whose", nargs="?", metavar="owner:USER|team:NAME")
        parser.add_argument("limits", nargs="*", metavar="LIMIT=N", help=f"{', '.join(LIMITS)}; 0 takes one away")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *_args: Any, whose: str | None, limits: list[str], **options: Any) -> None:
        """Sets the limits, and says what holds then."""
        if whose is None:
            self.list(as_json=options["json"])
            return
        try:
            one = named(whose)
        except Nobody as error:
            raise CommandError(str(error)) from None
        wanted = dict(map(limit_of, limits))
        one.limit(wanted)
        if options["json"]:
            self.stdout.write(json.dumps(written(one), ensure_ascii=False))
            for line in one.warnings if any(wanted.values()) else ():
                self.stderr.write(f"Warning: {line}")
            return
        held = " ".join(f"{name}={amount}" for name, amount in one.limits.items()) or "no limits"
        self.stdout.write(f"{one}: {held}" + (" (running servers obey within a second)" if wanted else ""))
        if any(wanted.values()) and not one.has_keys:
            others = ", ".join(known())
            self.stdout.write(f"No key belongs to {one}." + (f" Keys belong to {others}." if others else ""))

    def list(self, *, as_json: bool) -> None:
        """Lists the limits of owners and teams, as this command takes them."""
        everybody = limited()
        if as_json:
            self.stdout.write(json.dumps([written(one) for one in everybody], indent=2, ensure_ascii=False))
            return
        for one in everybody:
            self.stdout.write(f"{one}  {' '.join(f'{name}={amount}' for name, amount in one.limits.items())}")
        if not everybody:
            self.stdout.write("No owner and no team has limits: `manage.py limit team:NAME tokens_per_day=1000000`.")


def written(one: Whose) -> dict[str, Any]:
    """Returns limits as JSON has them, in the API too."""
    return {"whose": str(one), "limits": one.limits}


def limit_of(text: str) -> tuple[str, int | None]:
    """Reads `tokens_per_day=1000`, None for a limit to be taken away; raises CommandError."""
    name, _, amount = text.partition("=")
    name = name.replace("-", "_")
    if name not in LIMITS or not amount.isdecimal():
        raise CommandError(f"{text!r} is no limit: write NAME=N with a name of {', '.join(LIMITS)}.")
    return name, int(amount) or None
