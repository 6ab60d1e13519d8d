from __future__ import annotations

from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.spread import percentile, spread


def test_nine_values_give_the_second_and_the_eighth() -> None:
    found = spread([9, 1, 8, 2, 7, 3, 6, 4, 5])
    assert (found.middle, found.low, found.high) == (5, 2, 8)
    assert found.confidence == pytest.approx(1 - 2 * (1 + 9) / 2**9)
    assert not found.is_wide


def test_six_values_are_the_least_for_95_percent() -> None:
    assert spread([1, 2, 3, 4, 5, 6]).confidence >= 0.95
    few = spread([1, 2, 3, 4, 5])
    assert few.is_wide
    assert (few.low, few.high) == (1, 5)


def test_one_value_says_nothing_about_its_spread() -> None:
    assert spread([3.0]).confidence == 0
    with pytest.raises(ValueError, match="at least one"):
        spread([])


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60))
def test_the_median_lies_in_its_interval(values: list[float]) -> None:
    found = spread(values)
    assert found.low <= median(values) <= found.high
    assert min(values) <= found.low
    assert found.high <= max(values)


def test_percentiles_are_values_that_were_there() -> None:
    values = [float(number) for number in range(100)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([7.0], 0.99)) == (50, 99, 7)
