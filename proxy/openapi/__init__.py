"""The API's schema, read from the table of routes."""

from __future__ import annotations
