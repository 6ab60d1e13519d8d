"""The plot: bars from zero, with the spread of each, as an SVG that is readable on light and on dark pages."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from benchmarks.figures import BEGINNING, CHUNKS, SMALL_REQUEST, Figure, adding, costs
from benchmarks.rows import STUB, find
from benchmarks.spread import Spread, spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.rows import Row

WIDTH, NAMES, FIGURES = 760, 96, 140
BAR, GAP, HEAD, MARGIN = 16, 8, 34, 16
LINE, SMALL = 120, 14  # characters, and the height, of a line of the caption
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 13px } .small { font-size: 10px; fill: #59636e } .end { text-anchor: end }
.bar { fill: #9198a1 } .gateway { fill: #0969da } .spread { stroke: #1f2328; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small { fill: #9198a1 } .bar { fill: #6e7681 } .gateway { fill: #4493f8 }
  .spread { stroke: #e6edf3 }
}
"""


PANELS = (
    Figure("CPU of a small request, µs (16 connections, OpenAI's chat)", SMALL_REQUEST, costs, 0),
    Figure("CPU of a streamed chunk, µs (16 streams, a chunk each 2 ms)", CHUNKS, costs, 1),
    Figure("Added time to a stream's first byte, ms, median (1 connection)", BEGINNING, adding("first_byte_p50"), 2),
    Figure(
        "Added time to a stream's first byte, ms, 99th percentile (1 connection)",
        BEGINNING,
        adding("first_byte_p99"),
        2,
    ),
)


def draw(rows: Sequence[Row], caption: str) -> str:
    """Draws a panel for each case that was measured; returns nothing where none was."""
    parts: list[str] = []
    top = MARGIN
    for panel in PANELS:
        if bars := _bars(panel, rows):
            parts.append(_panel(panel, bars, top))
            top += HEAD + len(bars) * (BAR + GAP) + MARGIN
    if not parts:
        return ""
    for line in textwrap.wrap(f"Shorter is better. {caption}", LINE):
        parts.append(_text(MARGIN, top + 4, line, "small"))
        top += SMALL
    size = f'viewBox="0 0 {WIDTH} {top + MARGIN}" width="{WIDTH}" height="{top + MARGIN}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{STYLE}</style>\n' + "\n".join(parts) + "\n</svg>\n"


def _bars(panel: Figure, rows: Sequence[Row]) -> list[tuple[str, Spread]]:
    found = []
    for row in rows:
        stub = find(rows, row.case, STUB)
        if row.case.name == panel.case and stub and row is not stub:
            found.append((row.server, spread(panel.values(row, stub))))
    return sorted(found, key=lambda bar: bar[1].middle)


def _panel(panel: Figure, bars: Sequence[tuple[str, Spread]], top: int) -> str:
    most = max(bar.high for _name, bar in bars)
    room = WIDTH - 2 * MARGIN - NAMES - FIGURES
    zero = MARGIN + NAMES

    def place(value: float) -> float:
        return zero + room * max(0.0, value / most)

    parts = [_text(MARGIN, top + 14, panel.title, "title")]
    for number, (name, bar) in enumerate(bars):
        y = top + HEAD - GAP + number * (BAR + GAP)
        kind = "gateway" if name == "gateway" else "bar"
        middle = y + BAR / 2
        figure = f"{bar.middle:,.{panel.digits}f} ({bar.low:,.{panel.digits}f}–{bar.high:,.{panel.digits}f})"
        parts += [
            _text(zero - 8, y + BAR - 4, name, "end"),
            f'<rect class="{kind}" x="{zero}" y="{y}" width="{place(bar.middle) - zero:.1f}" height="{BAR}" rx="2"/>',
            f'<path class="spread" d="M{place(bar.low):.1f} {middle}H{place(bar.high):.1f}"/>',
            _text(WIDTH - MARGIN, y + BAR - 4, figure, "end"),
        ]
    return "\n".join(parts)


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text class="{kind}" x="{x}" y="{y}">{escape(text)}</text>'
