"""Charts as inline SVG: no script, no font, no colour of their own; the page's style sheet has those."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

from usage.figures import ceiling

# The drawing's own units; it is stretched to whatever room it gets.
HEIGHT = 100
STEP = 10
BAR = 8


class Series(NamedTuple):
    """What a chart shows of each slot: a name, the class that colours it, and the values; None where there is none."""

    name: str
    style: str
    values: Sequence[float | None]


class Chart(NamedTuple):
    """A drawing with what stands around it."""

    title: str
    svg: str
    top: str
    series: Sequence[Series]


def bars(title: str, slots: Sequence[str], series: Sequence[Series], write: Callable[[float], str]) -> Chart:
    """Draws the series on top of one another, a bar for each slot."""
    heights = [sum(value or 0 for value in column) for column in columns(series, len(slots))]
    top = ceiling(max(heights, default=0))
    floors = [0.0] * len(slots)
    paths = []
    for one in series:
        drawn = []
        for number, value in enumerate(one.values):
            if value:
                floor, floors[number] = floors[number], floors[number] + value
                left, low, high = number * STEP + (STEP - BAR) / 2, y(floor, top), y(floors[number], top)
                drawn.append(f"M{left:g} {low:g}V{high:g}h{BAR}V{low:g}z")
        paths.append(f'<path class="{one.style}" d="{"".join(drawn)}"/>')
    return Chart(title, drawing(title, slots, series, paths, write), write(top), series)


def lines(title: str, slots: Sequence[str], series: Sequence[Series], write: Callable[[float], str]) -> Chart:
    """Draws a line for each series, with a gap where there is no value."""
    top = ceiling(max((value for one in series for value in one.values if value is not None), default=0))
    paths = []
    for one in series:
        drawn, broken = "", True
        for number, value in enumerate(one.values):
            if value is None:
                broken = True
                continue
            middle = (number + 0.5) * STEP
            # A line begins a little before its first value: one that stands alone shows, too.
            drawn += f"M{middle - 2:g} {y(value, top):g}H{middle:g}" if broken else f"L{middle:g} {y(value, top):g}"
            broken = False
        paths.append(f'<path class="{one.style} usage-line" d="{drawn}"/>')
    return Chart(title, drawing(title, slots, series, paths, write), write(top), series)


def drawing(
    title: str, slots: Sequence[str], series: Sequence[Series], paths: Sequence[str], write: Callable[[float], str]
) -> str:
    """Returns the SVG: a grid, the paths, and for each slot an area that says its values when pointed at."""
    width = len(slots) * STEP
    grid = "".join(f"M0 {HEIGHT * part:g}H{width}" for part in (0.25, 0.5, 0.75))
    said = [told(slot, series, column, write) for slot, column in zip(slots, columns(series, len(slots)), strict=True)]
    areas = "".join(
        f'<rect x="{number * STEP}" width="{STEP}" height="{HEIGHT}"><title>{escape(text)}</title></rect>'
        for number, text in enumerate(said)
    )
    return (
        f'<svg viewBox="0 0 {width} {HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{escape(title)}">'
        f'<path class="usage-grid" d="{grid}"/>{"".join(paths)}<g class="usage-areas">{areas}</g></svg>'
    )


def told(slot: str, series: Sequence[Series], column: Sequence[float | None], write: Callable[[float], str]) -> str:
    """Returns what a slot's area says."""
    values = [
        f"{one.name}: {'–' if value is None else write(value)}" for one, value in zip(series, column, strict=True)
    ]
    return "\n".join([slot, *values])


def columns(series: Sequence[Series], count: int) -> list[tuple[float | None, ...]]:
    """Returns the values slot by slot."""
    return [tuple(one.values[number] for one in series) for number in range(count)]


def y(value: float, top: float) -> float:
    """Returns the height of a value, counted from the drawing's top."""
    return round(HEIGHT * (1 - value / top), 2)
