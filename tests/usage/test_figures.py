"""Numbers as people read them, and the drawings made of them."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage.charts import HEIGHT, Series, bars, lines
from usage.figures import ceiling, duration, percent, short


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (7, "7"), (999, "999"), (1000, "1k"), (1234, "1.2k"), (9_949, "9.9k"), (9_960, "10k"),
        (999_499, "999k"), (999_600, "1M"), (1_234_567, "1.2M"), (5e12, "5T"), (7.5e17, "750,000T"),
    ],
)  # fmt: skip
def test_counts_are_short(value: float, text: str) -> None:
    assert short(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"), (0, "0 ms"), (0.0456, "46 ms"), (1.24, "1.2 s"), (59.6, "60 s"), (300, "5 min"),
        (27_000, "7.5 h"), (3_600_000, "1,000 h"),
    ],
)  # fmt: skip
def test_times_are_short(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 0, "0 %"), (0, 10, "0 %"), (1, 10_000, "< 0.1 %"), (1, 30, "3.3 %"), (1, 2, "50 %"), (2, 2, "100 %")],
)
def test_shares_are_short(part: float, whole: float, text: str) -> None:
    assert percent(part, whole) == text


@given(st.floats(0, 1e18))
def test_the_top_of_an_axis_is_at_or_above_everything_and_not_far(value: float) -> None:
    top = ceiling(value)
    assert top >= value
    assert top == 1.0 or top <= 2 * value or value < 1e-300


values = st.none() | st.floats(0, 1e15)


@given(st.lists(st.tuples(values, values), min_size=1, max_size=60), st.sampled_from([bars, lines]))
def test_every_drawing_stays_in_its_frame(points: list[tuple[float | None, float | None]], draw: object) -> None:
    slots = [f'slot "{number}" <&>' for number in range(len(points))]
    one, other = ([point[place] for point in points] for place in (0, 1))
    chart = draw("A <title>", slots, [Series("a", "a", one), Series("b", "b", other)], short)  # type: ignore[operator] # either
    svg = ET.fromstring(chart.svg)  # noqa: S314 -- it is our own
    width = float(svg.attrib["viewBox"].split()[2])
    for path in svg.iter("path"):
        for letter, numbers in re.findall(r"([MLVHhz])([^MLVHhz]*)", path.attrib["d"]):
            found = [float(number) for number in numbers.split()]
            across, down = (found if letter in "ML" else (found * 2) if letter in "Hh" else [0, *found]), found[-1:]
            assert all(0 <= number <= width for number in across[:1])
            if letter in "MLV":
                assert -0.01 <= down[0] <= HEIGHT
    assert len(list(svg.iter("rect"))) == len(points)
    assert next(svg.iter("title")).text.startswith(slots[0])  # type: ignore[union-attr] # it has one
