"""What is changed of log records before they are written."""

from __future__ import annotations

import logging


class SuspiciousInOneLine(logging.Filter):
    """Keeps what Django says of suspicious requests (`django.security.*`) to one line of the log each.

    Anybody can cause them. A traceback each would hide what matters, and what the client sent could look like a line of
    its own.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Drops the traceback and escapes what is not printable; keeps the record."""
        if record.name.startswith("django.security."):
            text = record.getMessage()
            record.msg = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
            record.args = None
            record.exc_info = record.exc_text = None
        return True
