"""`manage.py changeapikey ID`: changes what a key may do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from apikeys.management.keycommand import OneKeyCommand, add_fields, fields, limits, warn

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(OneKeyCommand):
    """Changes a key's fields; those that no option names stay as they are."""

    help = "Change what an API key may do; running servers obey within a second. An empty value takes a rule away."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Adds the id and the options."""
        super().add_arguments(parser)
        parser.add_argument("--label", metavar="TEXT", help="who or what uses it")
        add_fields(parser)

    def handle(self, **options: Any) -> None:
        """Changes the key and says so."""
        key = self.key(options["id"])
        given, limited = fields(options), limits(options)
        if options["label"] is not None:
            given["label"] = options["label"].strip()
        if not given and not limited:
            raise CommandError("Nothing to change: name a field, as in --models mistral. See --help.")
        for name, value in given.items():
            setattr(key, name, value)
        key.new_limits = limited or None
        key.full_clean()
        changed = key.save_changes()
        warn(self, key, models="models" in given, team="team" in given)
        if changed:
            self.stdout.write(f"Changed {key}: running servers obey within a second.")
        else:
            self.stdout.write(f"{key} is like that already; nothing to do.")
