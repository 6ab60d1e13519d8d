"""What is stored: keys, and the numbering of their changes."""

from __future__ import annotations

from apikeys.models.key import Key, one_printable_line
from apikeys.models.queryset import KeyIsKept, KeyQuerySet, RevocationIsFinal
from apikeys.models.revision import KeyRevision

__all__ = ["Key", "KeyIsKept", "KeyQuerySet", "KeyRevision", "RevocationIsFinal", "one_printable_line"]
