"""Reads the rows of a file of keys: CSV as RFC 4180 has it, or JSON; each row knows where it stands.

Nothing is passed over: a column, a cell or a field that the reader does not know is refused by its name and line, since
what is dropped from a row of keys is most often a limit.
"""

from __future__ import annotations

import csv
import io
import json
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from apikeys.lists import storable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LONGEST_SHOWN = 40
LABEL = "label"  # the one column that must be there


class CannotImport(ValueError):
    """A file or a row can't become keys; the text says which and why."""


class Row(NamedTuple):
    """One key as a file has it: the line on which it begins, and its values by name."""

    line: int
    values: dict[str, Any]


def rows_of(data: bytes, fields: Sequence[str], columns: Sequence[str]) -> list[Row]:
    """Reads a CSV file with a head, or a JSON array of objects; raises CannotImport.

    `fields` are the names that JSON may have, `columns` those of CSV.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CannotImport(f"line {line} is not UTF-8: save the file as UTF-8") from None
    is_json = text.lstrip().startswith(("[", "{"))
    rows = list(json_rows(text, fields) if is_json else csv_rows(text, columns))
    for row in rows:
        for name, value in row.values.items():
            if not storable(value):
                raise CannotImport(f"line {row.line}: {name} has a character that no database keeps")
    return rows


def csv_rows(text: str, columns: Sequence[str]) -> Iterator[Row]:
    """Yields the rows of a CSV file (RFC 4180); raises CannotImport.

    Lines end with CRLF or LF, in a file that has neither with CR; every other character is a cell's text.
    """
    newline = "\n" if "\n" in text else ""
    reader = csv.reader(io.StringIO(text, newline=newline), strict=True)
    head: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            if cells and head is None:
                head = head_of(cells, columns, line)
            elif cells and head is not None:
                if len(cells) != len(head):
                    raise CannotImport(f"line {line} {uneven(head, cells)}")
                yield Row(line, dict(zip(head, cells, strict=True)))
            line = reader.line_num + 1
    except csv.Error as error:
        raise CannotImport(f"line {line} is not valid CSV: {str(error).partition(' - ')[0]}") from None


def head_of(cells: list[str], columns: Sequence[str], line: int) -> list[str]:
    """Returns the names of a CSV file's columns; raises CannotImport."""
    names = [cell.strip() for cell in cells]
    for place, name in enumerate(names, 1):
        if not name:
            raise CannotImport(f"line {line}: column {place} has no name")
    refuse_unknown(names, columns, f"line {line}", "column")
    for name in names:
        if names.count(name) > 1:
            raise CannotImport(f"line {line}: column {name!r} is there {names.count(name)} times")
    if LABEL not in names:
        raise CannotImport(f"line {line}: there is no column {LABEL!r}")
    return names


def uneven(head: list[str], cells: list[str]) -> str:
    """Says how a row differs from the head; extra cells are not quoted, since they may hold anything."""
    has = f"has {len(cells)} cell{'s' * (len(cells) != 1)} for {len(head)} columns"
    if len(cells) < len(head):
        return f"{has}: {', '.join(map(repr, head[len(cells) :]))} missing (write an empty cell for no value)"
    return f"{has}: put a cell that holds commas or line breaks in double quotes"


def json_rows(text: str, fields: Sequence[str]) -> Iterator[Row]:
    """Yields the objects of a JSON array, or the one object that the file is; raises CannotImport."""
    begin = after_space(text, 0)
    is_list = text[begin] == "["
    place = after_space(text, begin + 1) if is_list else begin
    more = not is_list or text[place : place + 1] != "]"
    line, counted = 1, 0
    while more:
        line += text.count("\n", counted, place)
        counted = place
        value, place = json_value(text, place, line)
        if not isinstance(value, dict):
            raise CannotImport(f"line {line}: the file must be a JSON array of objects, one a key")
        refuse_unknown(list(value), fields, f"line {line}", "field")
        yield Row(line, value)
        place = after_space(text, place)
        more = is_list and text[place : place + 1] == ","
        place = after_space(text, place + 1) if more else place
    if is_list and text[place : place + 1] != "]":
        raise CannotImport(f"line {line_of(text, place)} is not valid JSON: expected ',' or ']'")
    rest = after_space(text, place + 1) if is_list else place
    if rest < len(text):
        raise CannotImport(f"line {line_of(text, rest)} is not valid JSON: more follows the end of the keys")


def json_value(text: str, place: int, line: int) -> tuple[Any, int]:
    """Returns the value that begins at a place, and the place after it; raises CannotImport."""
    try:
        return json.JSONDecoder(object_pairs_hook=once, parse_constant=no_constant).raw_decode(text, place)
    except json.JSONDecodeError as error:
        raise CannotImport(f"line {error.lineno} is not valid JSON: {error.msg}") from None
    except RecursionError:
        raise CannotImport(f"line {line} is not valid JSON: too deeply nested") from None
    except ValueError as error:
        raise CannotImport(f"line {line} is not valid JSON: {error}") from None


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns an object's fields; raises ValueError for a name that is there twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {shown(twice)} is there twice")
    return found


def no_constant(name: str) -> NoReturn:
    """Refuses NaN and the infinities, which are not JSON."""
    raise ValueError(f"{name} is not a number")


def after_space(text: str, place: int) -> int:
    """Returns the place of the next character that is not white space as JSON has it."""
    while text[place : place + 1] in (" ", "\t", "\n", "\r"):
        place += 1
    return place


def line_of(text: str, place: int) -> int:
    """Returns the number of the line of a place."""
    return text.count("\n", 0, place) + 1


def refuse_unknown(names: list[str], known: Sequence[str], where: str, kind: str) -> None:
    """Raises CannotImport for names that are not known, all in one message, with what they may have been meant for."""
    unknown = [name for name in names if name not in known]
    if not unknown:
        return
    guesses = {name: get_close_matches(name.lower()[:LONGEST_SHOWN], known, 1, 0.75) for name in unknown[:5]}
    told = [shown(name) + (f" (did you mean {guess[0]!r}?)" if guess else "") for name, guess in guesses.items()]
    more = f" and {len(unknown) - len(told)} more" if len(unknown) > len(told) else ""
    separated = " Columns are separated by commas." if kind == "column" and any(";" in name for name in unknown) else ""
    raise CannotImport(
        f"{where}: unknown {kind}{'s' * (len(unknown) > 1)} {', '.join(told)}{more}.{separated} "
        f"Known are {', '.join(known)}"
    )


def shown(value: object) -> str:
    """Returns a value for a message: short, and never one that may hold a key."""
    said = repr(value)
    if "ollama_" in said:
        return "a text with a key in it"
    return said if len(said) <= LONGEST_SHOWN else f"{said[:LONGEST_SHOWN]}…"
