"""`manage.py createapikey`: issues a key and shows its secret once."""

from __future__ import annotations

import json
import sys
from textwrap import indent
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from apikeys.description import described
from apikeys.management.keycommand import KeyCommand, add_fields, fields, limits, warn
from apikeys.models import Key
from apikeys.snippets import curl, local_url, model_of

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(KeyCommand):
    """Issues a key; asks for a label where none is given and somebody is there to answer."""

    help = "Issue an API key. Its secret is shown once and stored nowhere."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Adds the label and the options."""
        parser.add_argument("label", nargs="?", help="who or what will use the key; asked for when left out")
        add_fields(parser)
        form = parser.add_mutually_exclusive_group()
        form.add_argument("--quiet", action="store_true", help="print the key alone, for scripts")
        form.add_argument("--json", action="store_true", help="print JSON: `key`, and all that is known of it")

    def handle(self, *, label: str | None, quiet: bool, **options: Any) -> None:
        """Issues the key and prints it."""
        given, limited = fields(options), limits(options)
        key, secret = Key.objects.issue(label=ask() if label is None else label, limits=limited, **given)
        warn(self, key)
        if options["json"]:
            self.stdout.write(json.dumps({"key": secret, **described(key)}, indent=2, ensure_ascii=False))
            return
        if quiet:
            self.stdout.write(secret)
            return
        until = f"expires {key.expires:%Y-%m-%d %H:%M} UTC" if key.expires else "never expires"
        self.stdout.write(f"Key for {key.label} (id {key.key_id}, {until}):\n\n    {secret}\n\n")
        self.stdout.write("Copy it now: it is stored nowhere and never shown again. Try it while the gateway runs:\n\n")
        self.stdout.write(indent(curl(secret, local_url(), model_of(key)), "    ") + "\n")


def ask() -> str:
    """Asks for a label; raises CommandError where nobody answers."""
    if not sys.stdin.isatty():
        raise CommandError("A label is needed where nobody can be asked: manage.py createapikey LABEL")
    try:
        return input("Label of the new key (who or what will use it): ")
    except (EOFError, KeyboardInterrupt):
        raise CommandError("No key was made.") from None
