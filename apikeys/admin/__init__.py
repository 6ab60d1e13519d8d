"""The operator's pages: keys, the audit trail, invalid keys, and the people who operate."""

from __future__ import annotations

from apikeys.admin import people  # noqa: F401 -- registers itself
from apikeys.admin.attempts import AttemptAdmin
from apikeys.admin.keys import KeyAdmin
from apikeys.admin.trail import TrailAdmin

__all__ = ["AttemptAdmin", "KeyAdmin", "TrailAdmin"]
