"""JSON read so strictly that Ollama can't understand it otherwise, and written canonically.

Go's decoder, behind which Ollama sits, takes the last of duplicate keys, matches keys regardless of case, and stops
after the first value; what a check reads must be what Ollama reads.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import orjson

# Deeper than any tool schema seen; far from the depths at which parsers disagree.
MAX_DEPTH = 128


# Every object, array and pair becomes some hundred bytes and a fraction of a microsecond of everybody's time: a body of
# brackets alone would stop all for seconds.  What is large for good reason is long strings, or numbers.
MAX_CONTAINERS = 200_000
MAX_ITEMS = 1_000_000
# No text within the bounds above has more strings: each is a key, or an item, or alone in its container.
MAX_STRINGS = MAX_ITEMS + 2 * MAX_CONTAINERS + 1

STRUCTURE = b'"[]{}:,'
NOT_STRUCTURE = bytes(set(range(256)) - set(STRUCTURE))
STRING = re.compile(rb'"[^"]*"')

# Half a surrogate pair, written as an escape.  A text that is searched for it has no escaped backslashes, so that each
# backslash begins an escape.
HIGH, LOW, HEX = r"\\u[dD][89abAB]", r"\\u[dD][c-fC-F]", "[0-9a-fA-F]{2}"
HALF_PAIR = re.compile(f"{HIGH}{HEX}(?!{LOW}{HEX})|(?<!{HIGH}{HEX}){LOW}{HEX}")


class JSONFault(ValueError):
    """The text is not JSON that everyone reads alike; the message says why, without quoting it."""


def parse(raw: bytes) -> Any:
    """Parses JSON as Go does where Go is clear, and refuses the rest.

    Bytes that are not UTF-8, and halves of surrogate pairs, are read as U+FFFD, as Go's decoder reads them.  Raises
    JSONFault for anything doubtful: duplicate keys at any depth, trailing bytes, NaN and infinities, depth over 128,
    more parts than any request has.
    """
    containers = count_parts(raw)
    try:
        value = DECODER.decode(text_of(raw))
    except json.JSONDecodeError as error:
        raise JSONFault(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except JSONFault:
        raise
    except RecursionError:
        raise JSONFault(f"nested deeper than {MAX_DEPTH} levels") from None
    except ValueError:
        raise JSONFault("a number is too long") from None
    # Without this many brackets nothing can be nested too deep, and counting them costs next to nothing.
    if containers > MAX_DEPTH and depth(value) > MAX_DEPTH:
        raise JSONFault(f"nested deeper than {MAX_DEPTH} levels")
    return value


def count_parts(raw: bytes) -> int:
    """Returns how many brackets a text has at most; raises JSONFault for more parts than any request has.

    Only a text that has many brackets or commas is looked at closely, for those that stand in no string.
    """
    containers = raw.count(b"[") + raw.count(b"{")
    if containers <= MAX_CONTAINERS and raw.count(b'":') <= MAX_CONTAINERS and raw.count(b",") <= MAX_ITEMS:
        return containers
    # Without its escapes, a quote begins or ends a string.
    bare = raw.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, NOT_STRUCTURE)
    if bare.count(b'"') <= 2 * MAX_STRINGS:
        bare = STRING.sub(b"", bare)
        containers = bare.count(b"[") + bare.count(b"{")
        if containers <= MAX_CONTAINERS and bare.count(b":") <= MAX_CONTAINERS and bare.count(b",") <= MAX_ITEMS:
            return containers
    raise JSONFault("it has too many parts")


def text_of(raw: bytes) -> str:
    """Decodes UTF-8, with U+FFFD for each byte that is none and for each half of a surrogate pair."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = decoded_like_go(raw)
    if "\\ud" not in text and "\\uD" not in text:
        return text
    if r"\\ud" not in text and r"\\uD" not in text:
        return HALF_PAIR.sub("\ufffd", text)
    refuse_nul(text)
    return HALF_PAIR.sub("\ufffd", text.replace(r"\\", "\0\0")).replace("\0\0", r"\\")


def decoded_like_go(raw: bytes) -> str:
    """Decodes text that is not all UTF-8: each invalid byte becomes one U+FFFD, as Go's unicode/utf8 has it.

    Python's own `replace` makes one of several bytes.  All of this takes nanoseconds a byte, whatever the bytes are.
    """
    escaped = raw.decode(errors="surrogateescape")
    refuse_nul(escaped)
    escaped = escaped.replace("?", "\0")
    return escaped.encode(errors="replace").replace(b"?", "\ufffd".encode()).replace(b"\0", b"?").decode()


def refuse_nul(text: str) -> None:
    """Raises JSONFault for a NUL, which no JSON text holds; so it can stand for something else on the way."""
    if "\0" in text:
        raise JSONFault("Invalid control character")


def dump(value: Any) -> bytes:
    """Writes compact UTF-8 JSON; integers of any length keep all their digits.

    Raises JSONFault for lone surrogates.
    """
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        if "Integer" not in str(error):
            raise JSONFault("a string holds half a surrogate pair") from None
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except UnicodeEncodeError:
        raise JSONFault("a string holds half a surrogate pair") from None


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Makes an object of its pairs; raises JSONFault for a key that stands twice."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise JSONFault(f"the key {first_twice(pairs)!r} stands twice in one object")
    return made


def first_twice(pairs: list[tuple[str, Any]]) -> str:
    """Returns the first key that stands twice, cut to a length fit for a message."""
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            break
        seen.add(key)
    return key[:40]


def refuse_constant(name: str) -> float:
    """Refuses NaN and the infinities, which JSON does not have."""
    raise JSONFault(f"{name} is not JSON")


def finite(text: str) -> float:
    """Reads a number; raises JSONFault where it overflows to infinity."""
    number = float(text)
    if math.isinf(number):
        raise JSONFault("a number is too large")
    return number


def depth(value: Any) -> int:
    """Counts the levels of nesting, without recursion."""
    level, containers = 0, [value]
    while containers := [item for item in containers if isinstance(item, dict | list)]:
        level += 1
        containers = [item for outer in containers for item in (outer.values() if isinstance(outer, dict) else outer)]
    return level


DECODER = json.JSONDecoder(object_pairs_hook=unique, parse_constant=refuse_constant, parse_float=finite)
