"""`manage.py restore FILE`: makes the database what a backup says."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError

from apikeys.models import Key
from gateway import backup
from gateway.backup import SECRETS
from gateway.database import prepare
from gateway.env import env_file
from gateway.envfile import replace
from usage.sole import Sole


class Command(BaseCommand):
    """Replaces everything in the database, and the secrets in `.env`, by those of a backup."""

    help = "Replace the database's content, and the secrets in .env, by a backup's. Stop the gateway first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares the file and the answer."""
        parser.add_argument("file", type=Path, help="what `backup` wrote")
        parser.add_argument("--yes", action="store_true", help="do not ask before replacing keys that are here")

    def handle(self, *_args: Any, file: Path, yes: bool, **_options: Any) -> None:
        """Asks where something would be lost, restores, and says what else is to be done."""
        check_stopped()
        try:
            manifest = backup.manifest_of(file)
            secrets = backup.secrets_of(file)
            known = {backup.pepper_name(pepper) for pepper in (settings.KEY_PEPPER, *settings.KEY_PEPPER_FALLBACKS)}
            if not secrets and manifest.pepper not in known:
                raise CommandError(
                    f"{file} has no secrets, and KEY_PEPPER here is another one: set the one that belongs to it first."
                )
            prepare(self.stderr.write)
            self.ask(yes=yes)
            backup.read(file)
        except OSError as error:
            raise CommandError(f"{file} can't be read: {error.strerror or error}") from None
        except backup.CannotRestore as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"Restored {manifest.keys} keys and everything else as of {manifest.made}.")
        self.keep(secrets)

    def ask(self, *, yes: bool) -> None:
        """Asks before keys are replaced; raises CommandError unless the answer is yes."""
        count = Key.objects.count()
        if not count or yes:
            return
        if not sys.stdin.isatty():
            raise CommandError(f"This database has {count} keys, which would be replaced: add --yes to do so.")
        if input(f"This database has {count} keys, which will be replaced. Go on? [y/N] ").strip().lower() != "y":
            raise CommandError("Nothing was changed.")

    def keep(self, secrets: dict[str, str]) -> None:
        """Puts the backup's secrets into `.env`, or says which the environment must have."""
        changed = {name: value for name, value in secrets.items() if value and value != written(name)}
        elsewhere = [name for name in changed if os.environ.get(name) or os.environ.get(f"{name}_FILE")]
        mine = {name: value for name, value in changed.items() if name not in elsewhere}
        if mine:
            try:
                replace(mine)
            except OSError as error:
                raise CommandError(
                    f"The database is restored, but {env_file()} can't be written ({error.strerror or error}): set "
                    f"{', '.join(mine)} to the values in {SECRETS} of the backup, without which its keys are void."
                ) from None
            self.stdout.write(f"Put {', '.join(mine)} of the backup into {env_file()}.")
        if elsewhere:
            self.stderr.write(f"Set {', '.join(elsewhere)} in the environment to the backup's: it is another one now.")


def check_stopped() -> None:
    """Raises CommandError while a server runs: it would go on with what it knows, and write it over the restored."""
    sole = Sole(settings.ENV.journal_dir / "limits.lock")
    stopped = sole.take()
    sole.free()
    if not stopped:
        raise CommandError("A server runs here, and would go on with the old keys: stop it first.")


def written(name: str) -> str:
    """Returns a secret's present value as `.env` has it."""
    value = getattr(settings, name)
    return ",".join(value) if isinstance(value, list) else str(value)
