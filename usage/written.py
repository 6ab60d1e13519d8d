"""Reports as CSV and as a table for the terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from apikeys.unicode_text import is_line

# A spreadsheet takes a cell that begins with one of these for a formula.
FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def as_csv(head: Sequence[str], rows: Iterable[dict[str, Any]]) -> str:
    """Returns rows as CSV with a head (RFC 4180); no text in it is a formula."""
    out = io.StringIO()
    sheet = csv.writer(out)
    sheet.writerow(head)
    for row in rows:
        sheet.writerow([harmless(row[name]) for name in head])
    return out.getvalue()


def harmless(value: Any) -> Any:
    """Returns a cell that a spreadsheet only shows."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value


def as_table(head: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    """Returns rows as a table for the terminal: names to the left, numbers to the right."""
    cells = [[cell(row[name]) for name in head] for row in rows]
    numeric = [all(isinstance(row[name], int | float) for row in rows) for name in head]
    titles = [name.replace("_", " ").upper() for name in head]
    widths = [max(map(len, column)) for column in zip(titles, *cells, strict=True)]
    return "\n".join(
        "  ".join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in (titles, *cells)
    )


def cell(value: Any) -> str:
    """Returns a value as people read it."""
    match value:
        case float():
            return f"{value:,.1f}"
        case int():
            return f"{value:,}"
    text = str(value)
    return text if is_line(text) else ascii(text)
