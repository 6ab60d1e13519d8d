"""Tokens that tell when they were due, so that whoever reads them can tell how late they came.

A stamp is that moment in microseconds of `time.monotonic()`, which all processes of a machine share.
"""

from __future__ import annotations

import re

DIGITS = 16
BLANK = b"@" + b"0" * DIGITS + b"@"
PATTERN = re.compile(rb"@(\d{16})@")
MICROSECONDS = 1e6


def stamp(due: float) -> bytes:
    """Writes a moment, given in seconds."""
    return b"@%016d@" % int(due * MICROSECONDS)
