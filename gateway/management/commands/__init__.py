"""One module a command: serve, doctor, runserver."""

from __future__ import annotations
