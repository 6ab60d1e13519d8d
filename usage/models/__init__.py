"""What is stored: records of calls, their sums, and how far the journal is applied."""

from __future__ import annotations

from usage.models.alert import BudgetAlert
from usage.models.applied import AppliedSegment
from usage.models.record import UsageRecord
from usage.models.refused import RefusedDay
from usage.models.rollup import RollUp, UsageDay, UsageHour, UsageMonth

__all__ = [
    "AppliedSegment",
    "BudgetAlert",
    "RefusedDay",
    "RollUp",
    "UsageDay",
    "UsageHour",
    "UsageMonth",
    "UsageRecord",
]
