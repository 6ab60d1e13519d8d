"""JSON as Go's encoding/json reads and writes it, so that what smuggles past a check also does here."""

from __future__ import annotations

import json
import struct
from typing import Any

from benchmarks.stub.refusal import Refusal

SPACE = " \t\r\n"
FOLDS = str.maketrans({"\u017f": "s", "\u212a": "k"})
ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
ESCAPED = str.maketrans(ESCAPES)


class Struct(dict[str, Any]):
    """A JSON object that remembers every pair, duplicates included, in the order of the wire."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs

    def field(self, name: str, *, null: bool = False) -> object:
        """Returns the value that a Go struct's field gets: folded names match and the last one wins.

        A null leaves what was there before, unless the field is a pointer (`null`).
        """
        value = None
        for key, candidate in self.pairs:
            if fold(key) == name and (candidate is not None or null):
                value = candidate
        return value

    def text(self, name: str) -> str:
        """Returns a string field, empty when absent; raises Refusal (400) for another type."""
        return self._typed(name, str, "string") or ""

    def flag(self, name: str) -> bool | None:
        """Returns a boolean pointer's value; raises Refusal (400) for another type."""
        value: bool | None = self._typed(name, bool, "bool", null=True)
        return value

    def number(self, name: str) -> int | None:
        """Returns an integer pointer's value; raises Refusal (400) for another type."""
        value: int | None = self._typed(name, int, "int", null=True)
        if isinstance(value, bool):
            raise mismatch("bool", name, "int")
        return value

    def list(self, name: str) -> list[Any]:
        """Returns an array field, empty when absent; raises Refusal (400) for another type."""
        return self._typed(name, list, "slice") or []

    def object(self, name: str) -> Struct:
        """Returns an object field, empty when absent; raises Refusal (400) for another type."""
        return self._typed(name, Struct, "map") or Struct([])

    def _typed(self, name: str, kind: type, go_type: str, *, null: bool = False) -> Any:
        value = self.field(name, null=null)
        if value is not None and not isinstance(value, kind):
            raise mismatch(json_type(value), name, go_type)
        return value


def fold(key: str) -> str:
    """Folds a key the way Go does when it looks for a struct's field."""
    return key.translate(FOLDS).lower()


def json_type(value: object) -> str:
    """Names a value's JSON type in the decoder's words."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def mismatch(found: str, name: str, wanted: str) -> Refusal:
    """Returns the refusal of a value whose type does not fit its field."""
    return Refusal(400, f"json: cannot unmarshal {found} into Go struct field .{name} of type {wanted}")


def decode(body: bytes, empty: str) -> Struct:
    """Decodes the first JSON value of a body and ignores what follows it.

    Raises Refusal (400): the text `empty` for an empty body, else the decoder's complaint.
    """
    text = body.decode("utf-8", "replace").lstrip(SPACE)
    if not text:
        raise Refusal(400, empty)
    try:
        value, _end = DECODER.raw_decode(text)
    except json.JSONDecodeError as error:
        if error.pos >= len(text) or error.msg.startswith("Unterminated"):
            raise Refusal(400, "unexpected EOF") from None
        character = text[error.pos]
        raise Refusal(400, f"invalid character '{character}' looking for beginning of value") from None
    except RecursionError:
        raise Refusal(400, "exceeded max depth") from None
    if not isinstance(value, Struct):
        raise Refusal(400, f"json: cannot unmarshal {json_type(value)} into Go value of type api.Request")
    return value


def _refuse_constant(name: str) -> object:
    raise Refusal(400, f"invalid character '{name[0]}' looking for beginning of value")


DECODER = json.JSONDecoder(object_pairs_hook=Struct, parse_constant=_refuse_constant)


def encode(value: object) -> bytes:
    """Encodes a value compactly, with Go's HTML-safe escapes and other characters as raw UTF-8."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.translate(ESCAPED).encode("utf-8", "replace")


def float32(value: float) -> float:
    """Returns the float whose shortest text is the one that Go prints for the nearest float32."""
    (nearest,) = struct.unpack("<f", struct.pack("<f", value))
    for digits in range(1, 10):
        short = float(f"{nearest:.{digits}g}")
        if struct.unpack("<f", struct.pack("<f", short)) == (nearest,):
            return short
    return float(nearest)
