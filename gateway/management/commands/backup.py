"""`manage.py backup FILE`: writes all that the gateway keeps into one file."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError

from gateway import backup


class Command(BaseCommand):
    """Writes a backup; the gateway may run meanwhile."""

    help = "Write keys, users, usage and secrets into one file, from which `restore` makes a gateway anew."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares the file and the option."""
        parser.add_argument("file", type=Path, help="the file to write, as backup.tar.gz; replaced if it is there")
        parser.add_argument("--without-secrets", action="store_true", help="leave SECRET_KEY and KEY_PEPPER out")

    def handle(self, *_args: Any, file: Path, without_secrets: bool, **_options: Any) -> None:
        """Writes it and says what it holds."""
        try:
            manifest = backup.write(file.resolve(), secrets=not without_secrets)
        except OSError as error:
            raise CommandError(f"{file} can't be written: {error.strerror or error}") from None
        self.stdout.write(f"Wrote {manifest.keys} keys and everything else to {file}.")
        if without_secrets:
            self.stdout.write("It has no secrets: without KEY_PEPPER, kept elsewhere, all its keys are void.")
        else:
            self.stdout.write("It holds KEY_PEPPER and SECRET_KEY: keep it where you would keep a password.")
