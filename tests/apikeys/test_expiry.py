"""When a key shall expire, as people write it."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apikeys.expiry import parse_expiry

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90m", NOW + timedelta(minutes=90)),
        ("12h", NOW + timedelta(hours=12)),
        (" 30d ", NOW + timedelta(days=30)),
        ("8w", NOW + timedelta(weeks=8)),
        ("2030-12-31", datetime(2030, 12, 31, tzinfo=UTC)),
        ("2030-12-31T18:00", datetime(2030, 12, 31, 18, tzinfo=UTC)),
        ("2030-12-31 18:00+02:00", datetime(2030, 12, 31, 16, tzinfo=UTC)),
    ],
)
def test_durations_and_dates_are_understood(text: str, expected: datetime) -> None:
    assert parse_expiry(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "soon", "30", "d", "-1d", "1.5h", "30 d", "999999999w", "2030-13-01", "٣d"])
def test_anything_else_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="30d"):
        parse_expiry(text, NOW)


@pytest.mark.parametrize("text", ["0d", "2030-01-01", "2029-12-31T00:00", "2030-01-01T12:00"])
def test_a_moment_that_has_passed_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not in the future"):
        parse_expiry(text, NOW)


@given(st.text() | st.from_regex(r"[0-9]{1,12}[mhdw]", fullmatch=True))
def test_any_text_is_a_later_moment_or_a_refusal(text: str) -> None:
    with suppress(ValueError):
        assert parse_expiry(text, NOW) > NOW
