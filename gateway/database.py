"""Brings the database up to date before anything uses it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from gateway.env import BASE_DIR

PRIVATE = 0o600
MIGRATING = 7_316_201  # any number that no other program on that database locks


def prepare(say: Callable[[str], None]) -> None:
    """Makes the database file when there is none and applies missing migrations, with a word.

    Raises DatabaseError when the database can't be used.
    """
    if connection.vendor == "sqlite":
        create_private(Path(connection.settings_dict["NAME"]))
    if not missing_migrations():
        return
    with locked(folder()), locked_for_all():
        missing = missing_migrations()
        if missing:
            say(f"Preparing the database ({missing} steps) …")
            call_command("migrate", verbosity=0, interactive=False)


def missing_migrations() -> int:
    """Returns how many migrations are not applied."""
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def create_private(path: Path) -> None:
    """Creates the file when it is absent; others on this machine need not read names, sessions and digests.

    A file that is there is never opened here: closing it would drop all locks that SQLite holds on it in this process
    (POSIX), and the next command to end would take the write-ahead log from under the running server.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE))
    except OSError:
        # Opening the database fails next, and says so.
        return


def folder() -> Path:
    """Returns the folder of the database file, or the project's for a database that is no file."""
    if connection.vendor == "sqlite":
        return Path(connection.settings_dict["NAME"]).parent
    return BASE_DIR


@contextmanager
def locked_for_all() -> Iterator[None]:
    """Keeps starts on other machines waiting as well, where they use one PostgreSQL."""
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATING])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [MIGRATING])


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keeps other starts on this machine waiting: two that migrate at once would break each other's tables."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
