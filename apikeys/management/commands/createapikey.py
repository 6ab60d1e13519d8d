"""`manage.py createapikey`: issues a key and shows its secret once."""

from __future__ import annotations

import sys
from textwrap import indent
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apikeys.expiry import parse_expiry
from apikeys.lists import SCOPES
from apikeys.models import Key
from apikeys.snippets import curl, local_url

if TYPE_CHECKING:
    from argparse import ArgumentParser

# The options that are fields of the key, word for word.
FIELDS = ("scopes", "models")


class Command(BaseCommand):
    """Issues a key; asks for a label where none is given and somebody is there to answer."""

    help = "Issue an API key. Its secret is shown once and stored nowhere."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Adds the label and the options."""
        parser.add_argument("label", nargs="?", help="who or what will use the key; asked for when left out")
        parser.add_argument("--expires", metavar="WHEN", help="90m, 12h, 30d, 8w, or a date such as 2030-12-31 (UTC)")
        parser.add_argument("--scopes", metavar="LIST", help=f"what it is good for: {','.join(SCOPES)} (inference)")
        parser.add_argument("--models", metavar="LIST", help="the models that it may use, as mistral,llama3* (all)")
        parser.add_argument("--quiet", action="store_true", help="print the key alone, for scripts")

    def handle(self, *, label: str | None, expires: str | None, quiet: bool, **options: Any) -> None:
        """Issues the key and prints it."""
        fields = {name: options[name] for name in FIELDS if options[name] is not None}
        try:
            moment = parse_expiry(expires, timezone.now()) if expires else None
            key, secret = Key.objects.issue(label=_ask() if label is None else label, expires=moment, **fields)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        except ValueError as error:
            raise CommandError(str(error)) from None
        if quiet:
            self.stdout.write(secret)
            return
        until = f"expires {key.expires:%Y-%m-%d %H:%M} UTC" if key.expires else "never expires"
        self.stdout.write(f"Key for {key.label} (id {key.key_id}, {until}):\n\n    {secret}\n\n")
        self.stdout.write("Copy it now: it is stored nowhere and never shown again. Try it while the gateway runs:\n\n")
        self.stdout.write(indent(curl(secret, local_url()), "    ") + "\n")


def _ask() -> str:
    if not sys.stdin.isatty():
        raise CommandError("A label is needed where nobody can be asked: manage.py createapikey LABEL")
    try:
        return input("Label of the new key (who or what will use it): ")
    except (EOFError, KeyboardInterrupt):
        raise CommandError("No key was made.") from None
