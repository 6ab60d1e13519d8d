"""The gateway's settings with every logger at its most talkative."""

from __future__ import annotations

from gateway.settings import *  # noqa: F403 -- all of them are wanted
from gateway.settings import LOGGING

LOGGING["root"]["level"] = "DEBUG"
for logger in LOGGING["loggers"].values():
    logger["level"] = "DEBUG"
