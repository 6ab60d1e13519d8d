"""Reads keys and their limits as the database had them at one moment."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from django.db import connection, transaction

from apikeys.entries import COLUMNS, entries, entry
from apikeys.models import Allowance, Key, KeyRevision

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from apikeys.keyring import Entry, Limits

# A locked table must not keep the reader from noticing revocations for longer than this.
LOCK_TIMEOUT = "500ms"
# SQLite takes a bounded number of values a statement.
SUBJECTS_A_STATEMENT = 400
# Limits of owners and teams are few; they are read with every change.
SHARED = (Allowance.Kind.OWNER, Allowance.Kind.TEAM)


class Changes(NamedTuple):
    """What changed up to `revision`: keys that may be used, the ids of those that may not, and all limits."""

    revision: int
    entries: list[Entry]
    ended: list[str]
    limits: Limits


@contextmanager
def one_moment() -> Iterator[None]:
    """Has all queries within see the same state of the database; they must be reads.

    On PostgreSQL a table that stays locked raises OperationalError: this thread also brings revocations.
    """
    if connection.in_atomic_block:  # only in tests: their transaction is the moment
        yield
    elif connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            # atomic() would take the write lock.
            cursor.execute("BEGIN DEFERRED")
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")
    else:
        quote = connection.ops.quote_name
        tables = ", ".join(quote(model._meta.db_table) for model in (KeyRevision, Key, Allowance))  # noqa: SLF001 -- Django's documented way to a table's name
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            # Before the first SELECT: to a snapshot older than an ALTER TABLE, the table would look empty.
            cursor.execute(f"LOCK TABLE {tables} IN ACCESS SHARE MODE")
            yield


def read_all() -> Changes:
    """Reads everything; raises the database's errors."""
    with one_moment():
        revision = KeyRevision.seen()
        limits = gathered(Allowance.objects.values_list("kind", "subject", "dimension", "amount"))
        found = list(entries(Key.objects.not_revoked().filter(enabled=True).order_by()))
    return Changes(revision, found, [], limits)


def read_since(seen: int, limits: Limits) -> Changes | None:
    """Reads what changed after the revision `seen`, to which `limits` belong; returns None if the database is older."""
    with one_moment():
        revision = KeyRevision.seen()
        if revision < seen:
            return None
        usable, ended = changed_since(seen)
        changed = [*(one.principal.key_id for one in usable), *ended]
        table = Allowance.objects.values_list("kind", "subject", "dimension", "amount")
        rows = list(table.filter(kind__in=SHARED))
        for start in range(0, len(changed), SUBJECTS_A_STATEMENT):
            part = changed[start : start + SUBJECTS_A_STATEMENT]
            rows += table.filter(kind=Allowance.Kind.KEY, subject__in=part)
    gone = {f"{Allowance.Kind.KEY}:{key_id}" for key_id in changed}
    kept = {
        subject: held
        for subject, held in limits.items()
        if subject not in gone and subject.partition(":")[0] == Allowance.Kind.KEY
    }
    return Changes(revision, usable, ended, {**kept, **gathered(rows)})


def changed_since(seen: int) -> tuple[list[Entry], list[str]]:
    """Returns the keys that changed after a revision: those that may be used, and the ids of the others."""
    usable, ended = [], []
    changed = Key.objects.changed_since(seen)
    for revoked_at, enabled, *row in changed.values_list("revoked_at", "enabled", *COLUMNS).iterator():
        found = entry(*row)
        if revoked_at is None and enabled:
            usable.append(found)
        else:
            ended.append(found.principal.key_id)
    return usable, ended


def gathered(rows: Iterable[tuple[str, str, str, int]]) -> Limits:
    """Gathers rows of (kind, subject, dimension, amount) by subject."""
    found: dict[str, list[tuple[str, int]]] = {}
    for kind, subject, dimension, amount in rows:
        found.setdefault(f"{kind}:{subject}", []).append((dimension, amount))
    return {subject: tuple(held) for subject, held in found.items()}
