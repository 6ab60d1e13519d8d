"""What is stored: keys, their limits, and the audit trail that numbers their changes."""

from __future__ import annotations

from apikeys.models.allowance import Allowance
from apikeys.models.attempt import AttemptCount
from apikeys.models.entry import AuditEntry, TrailIsKept
from apikeys.models.key import Key, one_printable_line
from apikeys.models.queryset import KeyIsKept, KeyQuerySet, RevocationIsFinal
from apikeys.models.revision import KeyRevision

__all__ = [
    "Allowance",
    "AttemptCount",
    "AuditEntry",
    "Key",
    "KeyIsKept",
    "KeyQuerySet",
    "KeyRevision",
    "RevocationIsFinal",
    "TrailIsKept",
    "one_printable_line",
]
