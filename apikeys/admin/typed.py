"""The base of our admin pages, as type checkers see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.admin import ModelAdmin

if TYPE_CHECKING:
    from apikeys.models import AttemptCount, AuditEntry, Key

    KeyModelAdmin = ModelAdmin[Key]
    TrailModelAdmin = ModelAdmin[AuditEntry]
    AttemptModelAdmin = ModelAdmin[AttemptCount]
else:
    # It has no types, and takes no type argument at run time.
    from unfold.admin import ModelAdmin as UnfoldModelAdmin

    KeyModelAdmin = TrailModelAdmin = AttemptModelAdmin = UnfoldModelAdmin
