"""The short table, which the README shows too: what OpenAI's chat costs through each server, in medians."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from benchmarks.figures import BEGINNING, CHUNKS, IMAGE, SMALL_REQUEST, Figure, adding, costs
from benchmarks.rivals.litellm import LiteLLM
from benchmarks.rivals.ollaguard import Ollaguard
from benchmarks.rivals.portkey import Portkey
from benchmarks.rows import STUB, find
from benchmarks.table import NOTHING, markdown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.rows import Row

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


COLUMNS = (
    Figure("µs a request", SMALL_REQUEST, costs, 0),
    Figure("µs a streamed chunk", CHUNKS, costs, 1),
    Figure("first byte of a stream", BEGINNING, adding("first_byte_p50"), 2, is_added=True),
    Figure("1 MB image", IMAGE, adding("first_byte_p50"), 1, is_added=True),
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
            cells.append(written(column, median(column.values(row, stub))) if row and stub else NOTHING)
        if any(cell != NOTHING for cell in cells[1:]):
            lines.append([f"**{cell}**" for cell in cells] if server == GATEWAY else cells)
    return markdown(("OpenAI chat", *(column.title for column in COLUMNS)), lines, words=1)


def written(column: Figure, value: float) -> str:
    """Writes a cost, or what is added to a time."""
    return f"{value:+.{column.digits}f} ms" if column.is_added else f"{value:,.{column.digits}f}"
