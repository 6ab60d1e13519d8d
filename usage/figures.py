"""Numbers as people read them at a glance."""

from __future__ import annotations

THOUSAND = 1000.0
# Tops of axes, as parts of a power of ten.
STEPS = (0.12, 0.16, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
MINUTE, HOUR = 60.0, 3600.0


def short(value: float) -> str:
    """Returns a count in five characters or so: 0, 950, 1.2k, 34k, 5.6M."""
    if value < THOUSAND:
        return f"{value:.0f}"
    for unit in "kMGT":
        value /= THOUSAND
        if value < 999.5 or unit == "T":  # noqa: PLR2004 -- 1000 of the next unit are better than 1000 of this
            return f"{value:.1f}".removesuffix(".0") + unit if value < 9.95 else f"{value:,.0f}{unit}"  # noqa: PLR2004 -- two digits say enough
    raise AssertionError


def duration(seconds: float | None) -> str:
    """Returns a time: –, 120 ms, 1.2 s, 34 s, 5 min, 7.5 h."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds * THOUSAND:.0f} ms"
    if seconds < 10:  # noqa: PLR2004 -- below, tenths matter
        return f"{seconds:.1f} s"
    if seconds < 2 * MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * HOUR:
        return f"{seconds / MINUTE:.0f} min"
    return f"{seconds / HOUR:,.1f} h" if seconds < 100 * HOUR else f"{seconds / HOUR:,.0f} h"


def percent(part: float, whole: float) -> str:
    """Returns a share: 0 %, < 0.1 %, 3.4 %, 50 %."""
    if not part or not whole:
        return "0 %"
    share = 100 * part / whole
    if share < 0.1:  # noqa: PLR2004 -- a tenth is the least that is shown
        return "< 0.1 %"
    return f"{share:.1f} %" if share < 10 else f"{share:.0f} %"  # noqa: PLR2004 -- above, tenths don't matter


def ceiling(value: float) -> float:
    """Returns the next round number, for the top of an axis."""
    if value <= 0:
        return 1.0
    power = 1.0
    while power < value:
        power *= 10
    while power / 10 >= value:
        power /= 10
    return next(step * power for step in STEPS if step * power >= value)
