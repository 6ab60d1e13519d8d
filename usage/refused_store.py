"""Brings refused calls into the database: their counts, and the records of some of them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from django.db import connection, transaction

from usage.applying import keep
from usage.models import RefusedDay
from usage.refused_calls import Batch, Refused, RefusedCalls, refused_calls

COLUMNS = ("day", "key", "status", "error", "seen", "kept")


def store_refused(calls: RefusedCalls = refused_calls) -> bool:
    """Stores what waits; returns False, for all of it is stored.  Raises the database's errors; then it waits on."""
    batch = calls.take()
    if batch.counts or batch.records:
        try:
            with transaction.atomic():
                store(batch)
        except BaseException:
            calls.put_back(batch)
            raise
    return False


def store(batch: Batch) -> None:
    """Adds records, which no sum counts, and counts."""
    if batch.records:
        keep(batch.records)
    kept = Counter(
        Refused(datetime.fromtimestamp(record.at, UTC).date(), record.key, record.status, record.error)
        for record in batch.records
    )
    adapt = connection.ops.adapt_datefield_value
    rows = [(adapt(one.day), *one[1:], batch.counts[one], kept[one]) for one in sorted({*batch.counts, *kept})]
    with connection.cursor() as cursor:
        cursor.executemany(statement(), rows)


def statement() -> str:
    """Returns the statement that adds to one row's counts; SQLite and PostgreSQL both know it."""
    quote = connection.ops.quote_name
    table = quote(RefusedDay._meta.db_table)  # noqa: SLF001 -- Django's documented way to a table
    columns, unique = ", ".join(map(quote, COLUMNS)), ", ".join(map(quote, COLUMNS[:4]))
    grown = ", ".join(f"{quote(name)} = {table}.{quote(name)} + excluded.{quote(name)}" for name in COLUMNS[4:])
    marks = ", ".join(["%s"] * len(COLUMNS))
    return (
        f"INSERT INTO {table} ({columns}) VALUES ({marks}) "  # noqa: S608 -- made of our own names alone
        f"ON CONFLICT ({unique}) DO UPDATE SET {grown}"
    )
