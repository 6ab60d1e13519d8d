"""Reads keys from the SQLite file of the predecessor of this project: a table of plain-text keys with labels.

Nobody knows its exact columns, so they are found by looking.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from apikeys.keys import is_legacy

MAGIC = b"SQLite format 3\0"
LABELS = ("label", "name", "description", "title", "owner", "comment")
TIMES = ("created_at", "createdat", "created", "created_on", "timestamp")
# Columns that say that a key is no longer good, and what they say then.
ENDED = {"active": False, "is_active": False, "enabled": False, "revoked": True, "disabled": True, "deleted": True}


class NoKeysFound(ValueError):
    """The file has no table of keys; the text says what was found."""


@dataclass(frozen=True, slots=True)
class Table:
    """Where the keys are: the table, and its columns for the key, the label and the time of making."""

    name: str
    key: str
    label: str
    created: str
    ended: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True)
class OldKey:
    """A key of the predecessor."""

    text: str
    label: str
    created: datetime | None
    good: bool

    def __repr__(self) -> str:
        """Names the label alone, so that no log or traceback shows the key."""
        return f"OldKey(label={self.label!r})"


def is_sqlite(path: Path) -> bool:
    """Tells whether a file is an SQLite database."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def find(path: Path) -> Table:
    """Finds the table and its columns: the key's column is the one that has texts of the form `ollama_<hex>`.

    Raises NoKeysFound.
    """
    with closing(opened(path)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({quoted(table)})")]
            for column in columns:
                values = database.execute(f"SELECT {quoted(column)} FROM {quoted(table)}").fetchall()  # noqa: S608 -- names from the file itself, quoted
                count = sum(isinstance(value, str) and is_legacy(value) for (value,) in values)
                if count:
                    lower = {name.lower(): name for name in columns if name != column}
                    return Table(
                        table,
                        column,
                        next((lower[name] for name in LABELS if name in lower), ""),
                        next((lower[name] for name in TIMES if name in lower), ""),
                        tuple(lower[name] for name in ENDED if name in lower),
                        count,
                    )
    raise NoKeysFound(
        f"No table has keys of the form ollama_<hex>; there are: {', '.join(tables) or 'no tables at all'}."
    )


def read(path: Path, table: Table) -> Iterator[OldKey]:
    """Yields the keys."""
    with closing(opened(path)) as database:
        database.row_factory = sqlite3.Row
        for row in database.execute(f"SELECT * FROM {quoted(table.name)}"):  # noqa: S608 -- likewise
            text = row[table.key]
            if not isinstance(text, str) or not is_legacy(text):
                continue
            label = str(row[table.label] or "") if table.label else ""
            good = not any(bool(row[name]) is ENDED[name.lower()] for name in table.ended if row[name] is not None)
            yield OldKey(text, label.strip(), moment(row[table.created]) if table.created else None, good)


def opened(path: Path) -> sqlite3.Connection:
    """Opens the file for reading alone."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)


def quoted(name: str) -> str:
    """Returns a name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def moment(value: Any) -> datetime | None:
    """Returns a time that stands as text, or as seconds or milliseconds since the epoch; None for anything else."""
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)  # noqa: PLR2004 -- the year 5138
        parsed = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
