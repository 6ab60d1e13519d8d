"""JSON read so strictly that Ollama can't understand it otherwise, and written canonically.

Go's decoder, behind which Ollama sits, takes the last of duplicate keys, matches keys regardless of case, and stops
after the first value; what a check reads must be what Ollama reads.
"""

from __future__ import annotations

import json
import math
from typing import Any

import orjson

# Deeper than any tool schema seen; far from the depths at which parsers disagree.
MAX_DEPTH = 128


# Every object, array and pair becomes some hundred bytes and a fraction of a microsecond of everybody's time: a body of
# brackets alone would stop all for seconds.  What is large for good reason is long strings, or numbers.
MAX_CONTAINERS = 200_000
MAX_ITEMS = 1_000_000


class JSONFault(ValueError):
    """The text is not JSON that everyone reads alike; the message says why, without quoting it."""


def parse(raw: bytes) -> Any:
    """Parses UTF-8 JSON.

    Raises JSONFault for anything doubtful: invalid UTF-8, duplicate keys at any depth, trailing bytes, NaN and
    infinities, depth over 128, more parts than any request has.
    """
    containers = raw.count(b"[") + raw.count(b"{")
    if containers > MAX_CONTAINERS or raw.count(b'":') > MAX_CONTAINERS or raw.count(b",") > MAX_ITEMS:
        raise JSONFault("it has too many parts")
    try:
        value = DECODER.decode(raw.decode())
    except UnicodeDecodeError as error:
        raise JSONFault(f"not UTF-8 at byte {error.start}") from None
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


def dump(value: Any) -> bytes:
    """Writes compact UTF-8 JSON; raises JSONFault for lone surrogates and integers beyond 64 bits."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        what = "an integer is beyond 64 bits" if "Integer" in str(error) else "a string holds half a surrogate pair"
        raise JSONFault(what) from None


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
