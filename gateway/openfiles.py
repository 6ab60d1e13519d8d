"""How many connections the system's limit on open files has room for."""

from __future__ import annotations

import resource
from contextlib import suppress

from django.conf import settings

# Enough for all settings that are likely; a limit may be absurdly high, or none.
ENOUGH = 65_536
# Databases, journals, listings, logs and the loop itself.
OWN_FILES = 128
# Connections that the system may hand over in one go, before any of them can be turned away.
BACKLOG = 2048


def raise_limit() -> None:
    """Raises the soft limit on open files as far as it may be raised."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # macOS has a lower limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def limit() -> int:
    """Returns how many files may be open."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return ENOUGH if soft == resource.RLIM_INFINITY else soft


def backlog() -> int:
    """Returns how many connections may wait to be accepted."""
    return min(BACKLOG, limit() // 4)


def most_connections() -> int:
    """Returns how many clients may be connected; each call needs another connection to Ollama."""
    room = limit() - backlog() - settings.ENV.MAX_IN_FLIGHT - OWN_FILES
    return min(settings.ENV.MAX_CONNECTIONS, max(room, limit() // 4))
