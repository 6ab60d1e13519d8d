"""How long to wait, as people are told."""

from __future__ import annotations

import pytest

from proxy.exceptions import in_words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 second"),
        (1.5, "2 seconds"),
        (120, "120 seconds"),
        (120.5, "3 minutes"),
        (7200, "120 minutes"),
        (7201, "3 hours"),
        (43_200, "12 hours"),
        (2 * 86_400 + 1, "3 days"),
    ],
)
def test_a_wait_is_said_in_the_unit_that_people_use_and_never_too_short(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
