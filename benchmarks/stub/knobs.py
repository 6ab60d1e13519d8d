"""The knobs that a request turns: `[[chunks=100 interval_ms=2]]` in a prompt, or a model `knobs.chunks-100`."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

from benchmarks.stub.refusal import Refusal

MARKER = re.compile(r"\s?\[\[([a-z0-9_=. ]*)\]\]")
WORD = re.compile(r"[^ \t\r\n]+")
MODEL_PREFIX = "knobs."
MAGIC_MODELS = {"stub-serial": "serial=1", "stub-loading": "loading=1"}
HTTP_NOT_IMPLEMENTED = 501


@dataclass(frozen=True, slots=True)
class Knobs:
    """How one answer is given; times in milliseconds, counts in chunks, sizes in bytes.

    >>> Knobs.parse("chunks=100 interval_ms=2")
    """

    # What is said
    chunks: int | None = None  # tokens; the words of the last user text, over and over
    size: int = 0  # pads each token to so many characters
    line_mb: int = 0  # one token of so many megabytes
    stamp: int = 0  # tokens that tell when they were due, if there is an interval; see benchmarks/stub/stamps.py
    multibyte: int = 0  # tokens that split badly: é, 漢, emoji, U+0085, U+2028, quotes, newlines
    thinking: int | None = None  # thinking tokens before the others
    tool: str = ""  # "chunk" or "final": where the tool call is placed
    usage: int = 1  # 0: counts that are zero, hence left out
    counts: str = (
        ""  # "beside": in the frame of the finish reason; "running": in every frame; else where Ollama has them
    )
    cached: int | None = None  # of the prompt's tokens, so many came from the cache; says so as Ollama does since 0.34
    created: int = 0  # … and so many went into it, which only Anthropic's dialect tells
    eval_ms: float = 5  # what the last line says that writing took
    repeat_model: int = 1  # 0: an answer without the model's name
    old: int = 0  # chat chunks as before 0.32.6

    # When
    first_delay_ms: float = 0  # before the headers
    header_pause_ms: float = 0  # between the headers and the first chunk
    interval_ms: float = 0  # between chunks
    endless: int = 0  # chunks as fast as they are read, for ever
    serial: int = 0  # one request at a time for each model, without a limit on those that wait
    loading: int = 0  # a load first: two may wait for it, the next is 503

    # How it is cut into writes
    split: str = ""  # payload bytes in each HTTP chunk, or "random"
    tcp: str = ""  # bytes in each write, across HTTP's own framing too, or "random"
    merge: int = 1  # events in each write
    seed: int = 0  # of "random"
    piece_ms: float = 0  # between the pieces of a split
    linger_ms: float = 0  # between the terminal mark and the end of the body

    # What goes wrong
    status: int = 0  # this status with Ollama's text for it, before anything else
    plain: int = 0  # … as text/plain
    empty: int = 0  # … with an empty body
    context: int = 0  # 1: a sentence about the context; 2: the runner's JSON inside `error`
    error_after: int | None = None  # an error after so many chunks
    eof_after: int | None = None  # a clean end without the terminal mark
    die_after: int | None = None  # the connection closes inside the body
    reset_after: int | None = None  # the same with a TCP reset
    hang_after: int | None = None  # silence for ever
    hang: int = 0  # never answers at all
    malformed: str = ""  # "status", "header", "chunk", "length", "json"
    headers_kb: int = 0  # a header of so many kilobytes
    cookie: int = 0  # Set-Cookie
    close: int = 0  # Connection: close

    @classmethod
    def parse(cls, text: str) -> Knobs:
        """Reads `name=value` pairs separated by spaces; raises Refusal (501) for one that does not exist."""
        values: dict[str, int | float | str] = {}
        for pair in text.split():
            name, _, value = pair.partition("=")
            if name not in READERS:
                raise Refusal(HTTP_NOT_IMPLEMENTED, f"the stub has no knob {name!r}")
            try:
                values[name] = READERS[name](value)
            except ValueError:
                raise Refusal(HTTP_NOT_IMPLEMENTED, f"the stub can't set {name} to {value!r}") from None
        return cls(**values)  # type: ignore[arg-type]  # READERS gives each field its type

    @property
    def ordinary(self) -> bool:
        """Tells whether the answer can be kept ready: what is said and the interval alone are turned."""
        return all(getattr(self, name) == getattr(DEFAULT, name) for name in EXTRAORDINARY)


TYPES: dict[str, type[int | float | str]] = {"int": int, "int | None": int, "float": float, "str": str}
READERS = {field.name: TYPES[str(field.type)] for field in dataclasses.fields(Knobs)}
DEFAULT = Knobs()
REPRODUCED = {"chunks", "size", "line_mb", "stamp", "multibyte", "thinking", "usage", "old", "interval_ms", "cached"}
EXTRAORDINARY = tuple(name for name in READERS if name not in REPRODUCED)


def find(text: str, model: str, default: str) -> Knobs:
    """Collects the knobs of a request: those set for its path, those of its model's name, those in its text."""
    words = [default]
    name = model.rsplit("/", 1)[-1].split(":", 1)[0]
    if name.startswith(MODEL_PREFIX):
        words += [pair.replace("-", "=") for pair in name.removeprefix(MODEL_PREFIX).split(".") if pair]
    words.append(MAGIC_MODELS.get(name, ""))
    words += MARKER.findall(text)
    joined = " ".join(words)
    return Knobs.parse(joined) if joined.strip() else DEFAULT


def words(text: str) -> list[str]:
    """Returns the words of a text, separated by ASCII's white space; markers are neither echoed nor counted."""
    return WORD.findall(MARKER.sub("", text) if "[[" in text else text)
