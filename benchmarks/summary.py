"""The short table, which the README shows too: what OpenAI's chat costs through each server, in medians."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.rivals.litellm import LiteLLM
from benchmarks.rivals.ollaguard import Ollaguard
from benchmarks.rivals.portkey import Portkey
from benchmarks.rows import STUB, Row, added, find
from benchmarks.table import NOTHING, markdown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

GATEWAY = "gateway"
NAMES = {
    "floor": "bare ASGI and aiohttp: the floor",
    GATEWAY: "this gateway",
    "nginx": "nginx with a key map: the limit",
    "ollaguard": f"ollaguard {Ollaguard.version}",
    "Portkey": f"Portkey's gateway {Portkey.version}",
    "LiteLLM": f"LiteLLM's proxy {LiteLLM.version}, by `ollama_chat/`",
    "LiteLLM openai/": f"LiteLLM's proxy {LiteLLM.version}, by `openai/`",
}


@dataclass(frozen=True, slots=True)
class Column:
    """What a column shows: of which case, which values of a row beside the stub's, and how they are written."""

    heading: str
    case: str
    values: Callable[[Row, Row], Sequence[float]]
    text: str


COLUMNS = (
    Column("µs a request", "OpenAI chat, small JSON, 16 connections", lambda row, _stub: row.costs, "{:,.0f}"),
    Column("µs a streamed chunk", "OpenAI chat, stream, a chunk each 2 ms", lambda row, _stub: row.costs, "{:,.1f}"),
    Column(
        "first byte of a stream",
        "OpenAI chat, stream's beginning, 1 connection",
        lambda row, stub: added(row, stub, "first_byte_p50"),
        "{:+.2f} ms",
    ),
    Column(
        "1 MB image",
        "OpenAI chat, 1 MB image, 1 connection",
        lambda row, stub: added(row, stub, "first_byte_p50"),
        "{:+.1f} ms",
    ),
)


def summary(rows: Sequence[Row]) -> str:
    """Writes it; nothing where one of its cases was not measured."""
    cases = [next((row.case for row in rows if row.case.name == column.case), None) for column in COLUMNS]
    lines = []
    for server, name in NAMES.items():
        cells = [name]
        for column, case in zip(COLUMNS, cases, strict=True):
            if case is None:
                return ""
            row, stub = find(rows, case, server), find(rows, case, STUB)
            cells.append(column.text.format(median(column.values(row, stub))) if row and stub else NOTHING)
        if any(cell != NOTHING for cell in cells[1:]):
            lines.append([f"**{cell}**" for cell in cells] if server == GATEWAY else cells)
    return markdown(("OpenAI chat", *(column.heading for column in COLUMNS)), lines, words=1)
