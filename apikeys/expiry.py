"""When a key shall expire, as people write it: `30d`, `12h`, `90m`, or a date."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_is_duration = re.compile(r"([0-9]{1,9})([mhdw])").fullmatch


def parse_expiry(text: str, now: datetime, *, past: bool = False) -> datetime:
    """Returns the moment that the text means: `now` plus a duration, or an ISO date or time, UTC unless it says else.

    Raises ValueError, with a line for people, when it is neither, or not in the future unless `past` allows that.
    """
    text = text.strip()
    try:
        if duration := _is_duration(text):
            moment = now + int(duration[1]) * UNITS[duration[2]]
        else:
            moment = datetime.fromisoformat(text)
            moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is no time to expire: write 90m, 12h, 30d, 8w, or a date such as 2030-12-31 or 2030-12-31T18:00"
        ) from None
    if moment <= now and not past:
        raise ValueError(f"{text!r} is not in the future")
    return moment


def parse_duration(text: str) -> timedelta:
    """Returns the duration that the text means: `0`, or a number of minutes, hours, days or weeks.

    Raises ValueError with a line for people.
    """
    duration = _is_duration(text.strip())
    try:
        if duration or text.strip() == "0":
            return int(duration[1]) * UNITS[duration[2]] if duration else timedelta()
    except OverflowError:
        pass
    raise ValueError(f"{text!r} is no duration: write 0, 90m, 24h, 7d or 8w")
