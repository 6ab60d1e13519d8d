"""One file that has all the gateway keeps: its tables, and the secrets without which its keys are void."""

from __future__ import annotations

import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from apikeys.chain import id_of, secret_of
from gateway import __version__

FORMAT = 1
MANIFEST, TABLES, SECRETS = "manifest.json", "tables.jsonl", "secrets.json"
# What is made anew, or is of no use elsewhere.
LEFT_OUT = ("contenttypes", "auth.permission", "sessions", "admin.logentry", "axes")
PRIVATE = 0o600
SECRET_NAMES, FALLBACKS = ("SECRET_KEY", "KEY_PEPPER"), "KEY_PEPPER_FALLBACKS"


class CannotRestore(Exception):
    """The file can't be restored here; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup is, and which pepper its keys need (a name of it, not itself)."""

    format: int
    version: str
    made: str
    pepper: str
    keys: int


def pepper_name(pepper: str) -> str:
    """Returns a short name of a pepper, which says nothing about it."""
    return id_of(secret_of(pepper))


def write(path: Path, *, secrets: bool) -> Manifest:
    """Writes a backup, readable by its owner alone; the gateway may run meanwhile.  Raises OSError."""
    manifest = Manifest(
        FORMAT,
        __version__,
        timezone.now().isoformat(timespec="seconds"),
        pepper_name(settings.KEY_PEPPER),
        apps.get_model("apikeys", "Key").objects.count(),
    )
    given = {name: getattr(settings, name) for name in (*SECRET_NAMES, FALLBACKS)}
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".backup-") as scratch:
        tables, whole = Path(scratch) / TABLES, Path(scratch) / "whole"
        with one_moment():
            call_command(
                "dumpdata", format="jsonl", exclude=LEFT_OUT, natural_foreign=True, output=str(tables), verbosity=0
            )
        with tarfile.open(whole, "w:gz") as archive:
            add(archive, MANIFEST, json.dumps(asdict(manifest)).encode())
            if secrets:
                add(archive, SECRETS, json.dumps(given).encode())
            archive.add(tables, TABLES)
        whole.chmod(PRIVATE)
        os.replace(whole, path)  # noqa: PTH105 -- whole or not at all
    return manifest


@contextmanager
def one_moment() -> Iterator[None]:
    """Has all tables read as of one moment, and keeps nobody from writing meanwhile."""
    with connection.cursor() as cursor:
        # Not Django's own transaction: on SQLite that one would lock writers out.
        begin = {"postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "sqlite": "BEGIN DEFERRED"}
        cursor.execute(begin[connection.vendor])
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """Puts a small file into the archive."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), PRIVATE
    archive.addfile(info, io.BytesIO(data))


def manifest_of(path: Path) -> Manifest:
    """Reads what a backup is; raises CannotRestore for what is none, and OSError."""
    try:
        found = json.loads(part(path, MANIFEST))
        manifest = Manifest(**found)
    except (tarfile.TarError, KeyError, TypeError, ValueError, EOFError):
        raise CannotRestore(f"{path} is no backup of this gateway, or is damaged.") from None
    if manifest.format != FORMAT:
        raise CannotRestore(
            f"{path} was written by version {manifest.version}: restore it with that one, then upgrade."
        )
    return manifest


def secrets_of(path: Path) -> dict[str, str]:
    """Returns the secrets in a backup as `.env` has them, nothing where it was written without."""
    try:
        found = json.loads(part(path, SECRETS))
    except KeyError:
        return {}
    except (tarfile.TarError, ValueError, EOFError):
        found = None
    if not isinstance(found, dict) or not all(map(is_secret, found.items())):
        raise CannotRestore(f"{path} is no backup of this gateway, or is damaged.")
    return {name: ",".join(value) if isinstance(value, list) else value for name, value in found.items()}


def is_secret(item: tuple[str, object]) -> bool:
    """Tells whether a name and a value are a secret as `write` wrote it: nothing else goes into `.env`."""
    name, value = item
    if name == FALLBACKS:
        return isinstance(value, list) and all(isinstance(pepper, str) for pepper in value)
    return name in SECRET_NAMES and isinstance(value, str)


def part(path: Path, name: str) -> bytes:
    """Returns a small file of the archive; raises KeyError."""
    with tarfile.open(path) as archive:
        file = archive.extractfile(name)
        return file.read() if file else b""


def read(path: Path) -> None:
    """Replaces everything in the database by what the backup has: all or nothing.  Raises CannotRestore."""
    with tempfile.TemporaryDirectory(prefix="restore-") as scratch:
        with tarfile.open(path) as archive:
            archive.extract(TABLES, scratch, filter="data")
        try:
            with transaction.atomic():
                call_command("flush", interactive=False, verbosity=0)
                call_command("loaddata", str(Path(scratch) / TABLES), verbosity=0)
        except Exception as error:
            raise CannotRestore(
                f"{path} does not fit this version ({type(error).__name__}): nothing was changed."
            ) from error
