"""The spans of time that a page shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage.models import UsageHour
from usage.periods import PERIODS

moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- given by timezones


@given(moments, st.sampled_from(sorted(PERIODS)))
def test_every_moment_of_a_period_has_a_slot_up_to_now(now: datetime, name: str) -> None:
    period = PERIODS[name](now)
    assert period.starts[0] == period.first
    assert period.starts == sorted(period.starts)
    step = period.starts[-1] - period.starts[-2]
    assert timedelta(0) <= now - period.starts[-1] < step
    assert 24 <= len(period.starts) <= 54
    assert len(period.slots) == len(period.starts)
    assert 2 <= len(period.ticks) <= 5


@pytest.mark.parametrize(
    ("now", "first"),
    [((2026, 11, 23), (2025, 12, 1)), ((2026, 12, 31), (2026, 1, 1)), ((2024, 2, 29), (2023, 3, 1))],
)
def test_a_year_is_twelve_calendar_months(now: tuple[int, int, int], first: tuple[int, int, int]) -> None:
    assert PERIODS["year"](datetime(*now, 15, tzinfo=UTC)).first == datetime(*first, tzinfo=UTC)


def test_a_day_is_read_by_the_hour() -> None:
    period = PERIODS["day"](datetime(2026, 11, 23, 15, 42, tzinfo=UTC))
    assert period.fine is period.coarse is UsageHour
    assert (period.slots[0], period.slots[-1], len(period.slots)) == ("16:00", "15:00", 24)
