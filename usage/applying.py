"""Moves lines of the journal into the database: records, sums, last uses and the offset in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from itertools import islice
from typing import NamedTuple

from django.db import connection, transaction

from apikeys.models import Key
from usage.lines import Record
from usage.models import AppliedSegment, UsageDay, UsageHour, UsageMonth, UsageRecord
from usage.rollups import MICRO, SUMS, Slot, roll_up

# Records that are stored with one statement.
PORTION = 50
# SQLite takes a bounded number of values a statement.
SEGMENTS_A_STATEMENT = 400

Table = type[UsageHour] | type[UsageDay] | type[UsageMonth]


class Place(NamedTuple):
    """How far a segment is applied, and whether its lost calls are recorded."""

    offset: int
    settled: bool


class Overtaken(Exception):
    """Somebody else has applied these lines; where the segment stands must be read anew."""


def place_of(segment: str) -> Place:
    """Returns how far a segment is applied."""
    row = AppliedSegment.objects.filter(segment=segment).first()
    return Place(row.offset, row.settled) if row else Place(0, settled=False)


def offsets_of(segments: Iterable[str]) -> dict[str, int]:
    """Returns how far segments are applied, by their names; those that have not been begun are absent."""
    names = list(segments)
    found: dict[str, int] = {}
    for start in range(0, len(names), SEGMENTS_A_STATEMENT):
        rows = AppliedSegment.objects.filter(segment__in=names[start : start + SEGMENTS_A_STATEMENT])
        found.update(rows.values_list("segment", "offset"))
    return found


def apply(segment: str, records: Iterable[Record], *, start: int, end: int, settle: bool = False) -> None:
    """Stores the records of a segment's lines from one offset to another, and that they are.

    Raises Overtaken if the segment is not applied up to `start`, and the database's errors.
    """
    with transaction.atomic():
        if not start:
            # Not get_or_create: each savepoint has a name of its own, and SQLite keeps what it prepared for a hundred.
            AppliedSegment.objects.bulk_create([AppliedSegment(segment=segment)], ignore_conflicts=True)
        # An update locks the row on every database, so two that apply the same lines can't both get past it.
        wanted = AppliedSegment.objects.filter(segment=segment, offset=start, settled=False)
        if not wanted.update(offset=end, settled=settle):
            raise Overtaken(segment)
        store(records)


def store(records: Iterable[Record]) -> None:
    """Adds records and their sums, and notes when their keys were last used; in a transaction of the caller's."""
    uses: dict[str, float] = {}
    found = roll_up(kept(records, uses))
    if not uses:
        return
    Key.objects.note_uses(uses)
    for model, sums in ((UsageHour, found.hours), (UsageDay, found.days), (UsageMonth, found.months)):
        add(model, sums)


def kept(records: Iterable[Record], uses: dict[str, float]) -> Iterator[Record]:
    """Stores records and passes them on, portion by portion: those of one are still at the processor's hand.

    However many wait, no more of them are in memory at once.  Notes in `uses` when their keys were last used.
    """
    left = iter(records)
    while portion := list(islice(left, PORTION)):
        keep(portion)
        for record in portion:
            uses[record.key] = max(record.at, uses.get(record.key, record.at))
        yield from portion


def keep(records: Sequence[Record]) -> None:
    """Stores records.  Models would cost four times as much, on every call that is ever served."""
    rows = [(moment(record.at), *record[1:]) for record in records]
    quote = connection.ops.quote_name
    columns = ", ".join(map(quote, Record._fields))
    marks = ", ".join(["%s"] * len(Record._fields))
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {quote(UsageRecord._meta.db_table)} ({columns}) VALUES ({marks})", rows)  # noqa: S608, SLF001 -- made of our own names alone


def moment(at: float) -> str:
    """Writes a time (epoch seconds) as Django stores it in SQLite, and as PostgreSQL reads it: in UTC, their zone."""
    whole = int(at)
    rest = round((at - whole) * MICRO)  # of the difference, which is exact
    if rest == MICRO:
        whole, rest = whole + 1, 0
    return f"{second(whole)}.{rest:06d}" if rest else second(whole)


@lru_cache(maxsize=64)
def second(whole: int) -> str:
    """Writes a whole second; many calls end within one."""
    return str(datetime.fromtimestamp(whole, UTC).replace(tzinfo=None))


def add(model: Table, sums: Mapping[Slot, Sequence[int]]) -> None:
    """Adds sums to a table's rows, making those that are missing."""
    start = model._meta.get_field("start")  # noqa: SLF001 -- Django's documented way to a field
    # In one order everywhere: two processes that lock the same rows must not wait for each other.
    rows = [(start.get_db_prep_save(slot.start, connection), *slot[1:], *added) for slot, added in sorted(sums.items())]
    with connection.cursor() as cursor:
        cursor.executemany(statement(model), rows)


@cache
def statement(model: Table) -> str:
    """Returns the statement that adds one row's sums; SQLite and PostgreSQL both know it."""
    quote = connection.ops.quote_name
    table = quote(model._meta.db_table)  # noqa: SLF001 -- likewise
    columns = ", ".join(map(quote, (*Slot._fields, *SUMS)))
    marks = ", ".join(["%s"] * (len(Slot._fields) + len(SUMS)))
    unique = ", ".join(map(quote, Slot._fields))
    grown = ", ".join(f"{quote(name)} = {table}.{quote(name)} + excluded.{quote(name)}" for name in SUMS)
    return (
        f"INSERT INTO {table} ({columns}) VALUES ({marks}) "  # noqa: S608 -- made of our own names alone
        f"ON CONFLICT ({unique}) DO UPDATE SET {grown}"
    )


def forget(segments: Iterable[str]) -> None:
    """Forgets segments whose files are gone."""
    AppliedSegment.objects.filter(segment__in=list(segments)).delete()
