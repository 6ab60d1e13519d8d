"""`manage.py rotateapikey ID`: gives a key a new secret."""

from __future__ import annotations

import json
from textwrap import indent
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from apikeys.description import described
from apikeys.expiry import parse_duration
from apikeys.management.keycommand import OneKeyCommand
from apikeys.snippets import curl, local_url, model_of

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(OneKeyCommand):
    """Gives a key a new secret and shows it once; the old one stays good for a while."""

    help = "Give an API key a new secret; the old one goes on working for a while, so that clients can change over."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Adds the id and the options."""
        super().add_arguments(parser)
        parser.add_argument(
            "--grace",
            default="24h",
            metavar="TIME",
            help="how long the old secret stays good: 90m, 24h, 7d; 0 ends it now (24h)",
        )
        form = parser.add_mutually_exclusive_group()
        form.add_argument("--quiet", action="store_true", help="print the key alone, for scripts")
        form.add_argument("--json", action="store_true", help="print JSON: `key`, and all that is known of it")

    def handle(self, *, grace: str, quiet: bool, **options: Any) -> None:
        """Rotates the secret and prints the new one."""
        try:
            duration = parse_duration(grace)
        except ValueError as error:
            raise CommandError(str(error)) from None
        key = self.key(options["id"])
        secret = key.rotate(duration)
        if options["json"]:
            self.stdout.write(json.dumps({"key": secret, **described(key)}, indent=2, ensure_ascii=False))
            return
        if quiet:
            self.stdout.write(secret)
            return
        old = f"The old one works until {key.old_until:%Y-%m-%d %H:%M} UTC" if key.old_until else "The old one is dead"
        self.stdout.write(f"New secret for {key}:\n\n    {secret}\n\n{old}; a revocation would end both.\n")
        self.stdout.write("Copy it now: it is stored nowhere and never shown again. Try it while the gateway runs:\n\n")
        self.stdout.write(indent(curl(secret, local_url(), model_of(key)), "    ") + "\n")
