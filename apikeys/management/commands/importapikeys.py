"""`manage.py importapikeys FILE`: makes keys of a CSV or JSON file, or of the predecessor's database."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from apikeys import predecessor
from apikeys.importfile import CannotImport, rows_of
from apikeys.importing import COLUMNS, FIELDS, free_ids, key_of, key_of_old, known
from apikeys.input_warnings import input_warnings
from apikeys.management.keycommand import KeyCommand
from apikeys.models import Key

if TYPE_CHECKING:
    from argparse import ArgumentParser

COLUMNS_SHOWN = ("id", "label", "key")


class Command(KeyCommand):
    """Says what it found, asks, and makes all keys or none."""

    help = (
        "Make keys of a CSV or JSON file, or of the SQLite file of this project's predecessor, "
        "whose keys go on working as they are."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Adds the file and the answer."""
        parser.add_argument("file", type=Path, help="a CSV file with a head, a JSON array, or an SQLite file")
        parser.add_argument("--yes", action="store_true", help="do not ask before writing")
        parser.add_argument("--json", action="store_true", help="print the new secrets as JSON instead of CSV")

    def handle(self, *, file: Path, yes: bool, **options: Any) -> None:
        """Imports the file; secrets that were made are printed as CSV, once."""
        try:
            made = self.old_keys(file) if predecessor.is_sqlite(file) else self.rows(file)
        except OSError as error:
            raise CommandError(f"{file} can't be read: {error.strerror or error}") from None
        except (CannotImport, predecessor.NoKeysFound) as error:
            raise CommandError(str(error)) from None
        there = known(made)
        new = list({key.digest: key for key in made if key.digest not in there}.values())
        if len(new) < len(made):
            self.stderr.write(f"{len(made) - len(new)} of them are here already, and stay as they are.")
        if not new:
            self.stderr.write("Nothing to import.")
            return
        if not yes:
            self.ask(len(new))
        renamed = free_ids(new)
        if renamed:
            self.stderr.write(f"The ids of {renamed} of them are taken here: those get new ones.")
        Key.objects.bulk_create(new)
        for line in dict.fromkeys(line for key in new for line in input_warnings(key)):
            self.stderr.write(f"Warning: {line}")
        self.stderr.write(f"Imported {len(new)} keys; running servers know them within a second.")
        if any(key.legacy for key in new):
            self.stderr.write("Those with an old secret are marked legacy: rotate them when you can (rotateapikey).")
        self.show(new, as_json=options["json"])

    def show(self, new: list[Key], *, as_json: bool) -> None:
        """Prints the secrets that were made, but for keys that are revoked."""
        shown = [(key.key_id, key.label, key.secret) for key in new if key.secret and key.revoked_at is None]
        if as_json:
            rows = [dict(zip(COLUMNS_SHOWN, row, strict=True)) for row in shown]
            self.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False))
        elif shown:
            self.stderr.write("Their new secrets, shown this once:")
            csv.writer(self.stdout, lineterminator="\n").writerows([COLUMNS_SHOWN, *shown])

    def rows(self, file: Path) -> list[Key]:
        """Returns the unsaved keys of a CSV or JSON file."""
        made = []
        try:
            rows = rows_of(file.read_bytes(), FIELDS, COLUMNS)
        except CannotImport as error:
            raise CannotImport(f"{file}, {error}. Nothing was imported.") from None
        for number, row in enumerate(rows, 1):
            try:
                made.append(key_of(row))
            except CannotImport as error:
                reason = str(error).removesuffix(".")
                raise CannotImport(
                    f"Row {number} of {file} (line {row.line}): {reason}. Nothing was imported."
                ) from None
        self.stderr.write(f"Found {len(made)} rows in {file}.")
        return made

    def old_keys(self, file: Path) -> list[Key]:
        """Returns the unsaved keys of the predecessor's database."""
        table = predecessor.find(file)
        made = [key_of_old(old) for old in predecessor.read(file, table)]
        disabled = sum(not key.enabled for key in made)
        self.stderr.write(
            f"Found {len(made)} keys in table {table.name!r}, column {table.key!r}; "
            f"labels: {repr(table.label) if table.label else 'none'}; "
            f"made: {repr(table.created) if table.created else 'unknown'}; no longer good there: {disabled}."
        )
        return made

    def ask(self, count: int) -> None:
        """Asks before writing; raises CommandError unless the answer is yes."""
        if not sys.stdin.isatty():
            raise CommandError("Nothing was imported: add --yes where nobody can be asked.")
        try:
            answer = input(f"Import {count} keys? [y/N] ")
        except (EOFError, KeyboardInterrupt):
            answer = ""
        if answer.strip().lower() not in ("y", "yes"):
            raise CommandError("Nothing was imported.")
