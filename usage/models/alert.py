"""That somebody was told of a budget."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class BudgetAlert(models.Model):
    """A budget that has passed a level in a period: noted once, told once."""

    subject = models.CharField(max_length=160)
    dimension = models.CharField(max_length=30)
    period = models.CharField(max_length=10, blank=True)
    level = models.PositiveSmallIntegerField()
    spent = models.PositiveBigIntegerField()
    amount = models.PositiveBigIntegerField()
    at = models.DateTimeField(default=timezone.now)
    # When the webhook is to be told next; None once it was, or there is none, or it was given up.
    due = models.DateTimeField(null=True, db_index=True)
    attempts = models.PositiveSmallIntegerField(default=0)

    class Meta:
        """A level is passed once a period."""

        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["subject", "dimension", "period", "level"], name="one_alert_each")
        ]

    def __str__(self) -> str:
        """Says which."""
        return f"{self.subject}: {self.level} % of {self.dimension} {self.period}".rstrip()
