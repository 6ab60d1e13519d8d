"""The wiring: settings, URLs, the ASGI application and the server around it."""

from __future__ import annotations

__version__ = "0.2.0"
