"""Very many keys in a database, for tests and for measuring: copies of the one that is there, under other ids."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FIRST_ID = 1000
MODELS = ("", "mistral", "mistral,llama3*")
TEAMS = 50


def fill(path: Path, count: int) -> None:
    """Adds so many keys of fifty teams to an SQLite file that has one."""
    with closing(sqlite3.connect(path)) as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(apikeys_key)")]
        row = dict(zip(columns, database.execute("SELECT * FROM apikeys_key").fetchone(), strict=True))
        rows = (
            {
                **row,
                "id": number,
                "key_id": f"{number:012d}",
                "label": f"Key {number}",
                "team": f"team-{number % TEAMS}",
                "models": MODELS[number % len(MODELS)],
                "digest": f"{number:064x}",
            }
            for number in range(FIRST_ID, FIRST_ID + count)
        )
        names = ", ".join(f'"{name}"' for name in columns)
        marks = ", ".join(f":{name}" for name in columns)
        database.executemany(f"INSERT INTO apikeys_key ({names}) VALUES ({marks})", rows)  # noqa: S608 -- our own
        database.commit()
