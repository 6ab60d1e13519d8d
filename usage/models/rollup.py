"""The sums of calls, kept for good."""

from __future__ import annotations

from typing import Any

from django.db import models

from usage import lines


def total() -> models.PositiveBigIntegerField[Any, Any]:
    """Returns a field that only ever grows."""
    return models.PositiveBigIntegerField(default=0)


class RollUp(models.Model):
    """The sums of the calls of one period, key, owner, team, model and route; usage/rollups.py says what they mean.

    The rows of the key "" are the sums over all keys: few, so that pages about everybody are quick.
    """

    key = models.CharField(max_length=lines.KEY, blank=True)
    owner = models.PositiveBigIntegerField(default=0)
    team = models.CharField(max_length=lines.TEAM, blank=True)
    model = models.CharField(max_length=lines.MODEL, blank=True)
    route = models.CharField(max_length=lines.ROUTE, blank=True)

    requests = total()
    refused = total()
    failed = total()
    left = total()
    cut = total()
    lost = total()
    prompt_tokens = total()
    completion_tokens = total()
    cached_tokens = total()
    estimated_tokens = total()
    gpu_nanoseconds = total()
    first_byte_microseconds = total()
    total_microseconds = total()
    first_byte_0 = total()
    first_byte_1 = total()
    first_byte_2 = total()
    first_byte_3 = total()
    first_byte_4 = total()
    first_byte_5 = total()
    first_byte_6 = total()
    total_0 = total()
    total_1 = total()
    total_2 = total()
    total_3 = total()
    total_4 = total()
    total_5 = total()
    total_6 = total()
    total_7 = total()

    class Meta:
        """Every period has a table of its own.

        The unique index serves what is read in the order of time, the other the pages of one key, and everyone's.
        """

        abstract = True
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["start", "key", "model", "owner", "team", "route"], name="one_%(class)s_each"
            )
        ]
        indexes = [models.Index(fields=["key", "start"], name="%(class)s_key_start")]


class UsageHour(RollUp):
    """The sums of an hour (UTC)."""

    start = models.DateTimeField()

    class Meta(RollUp.Meta):
        """As its siblings."""

    def __str__(self) -> str:
        """Says which hour and whose."""
        return f"{self.start:%Y-%m-%d %H}h {self.key}"


class UsageDay(RollUp):
    """The sums of a day (UTC)."""

    start = models.DateField()

    class Meta(RollUp.Meta):
        """As its siblings."""

        verbose_name = verbose_name_plural = "usage"  # the row of the page about all of it

    def __str__(self) -> str:
        """Says which day and whose."""
        return f"{self.start} {self.key}"


class UsageMonth(RollUp):
    """The sums of a calendar month (UTC), named by its first day."""

    start = models.DateField()

    class Meta(RollUp.Meta):
        """As its siblings."""

    def __str__(self) -> str:
        """Says which month and whose."""
        return f"{self.start:%Y-%m} {self.key}"
