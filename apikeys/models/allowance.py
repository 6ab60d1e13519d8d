"""What a key, an owner or a team may use: one table of limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.db import models, transaction

from apikeys.models.revision import Deed, KeyRevision

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# More than anybody has, and a whole number in every database and in JSON.
LARGEST = 10**15


class Allowance(models.Model):
    """How much of one dimension a subject may use; where there is no row, there is no limit."""

    class Kind(models.TextChoices):
        """Whose limit it is."""

        KEY = "key"
        OWNER = "owner"
        TEAM = "team"

    class Dimension(models.TextChoices):
        """What is counted, and what people call it."""

        REQUESTS_PER_MINUTE = "requests_per_minute", "requests a minute"
        TOKENS_PER_MINUTE = "tokens_per_minute", "tokens a minute"
        CONCURRENCY = "concurrency", "requests at once"
        TOKENS_PER_DAY = "tokens_per_day", "tokens a day"
        TOKENS_PER_MONTH = "tokens_per_month", "tokens a month"
        TOKENS_TOTAL = "tokens_total", "tokens in all"
        OUTPUT_TOKENS = "output_tokens", "tokens an answer"

    kind = models.CharField(max_length=10, choices=Kind.choices)
    subject = models.CharField(max_length=150)
    dimension = models.CharField(max_length=30, choices=Dimension.choices)
    amount = models.PositiveBigIntegerField()

    class Meta:
        """A subject has one limit a dimension."""

        constraints = [models.UniqueConstraint(fields=["kind", "subject", "dimension"], name="one_allowance_each")]
        default_permissions = ("view", "change")
        verbose_name = "limit"

    def __str__(self) -> str:
        """Says the limit."""
        return f"{self.kind} {self.subject}: {self.dimension} {self.amount}"

    @classmethod
    def of(cls, kind: str, subject: str) -> dict[str, int]:
        """Returns a subject's limits by dimension."""
        found = dict(cls.objects.filter(kind=kind, subject=subject).values_list("dimension", "amount"))
        return {dimension: found[dimension] for dimension in cls.Dimension.values if dimension in found}

    @classmethod
    def all_of(cls, kind: str, subjects: Iterable[str] | None = None) -> dict[str, dict[str, int]]:
        """Returns the limits of all subjects of a kind, or of these, by subject and dimension."""
        rows = cls.objects.filter(kind=kind)
        found: dict[str, dict[str, int]] = {}
        for row in rows if subjects is None else rows.filter(subject__in=list(subjects)):
            found.setdefault(row.subject, {})[row.dimension] = row.amount
        return found

    @classmethod
    def put(cls, kind: str, subject: str, limits: Mapping[str, int | None]) -> None:
        """Sets some of a subject's limits; None takes one away.

        Raises ValidationError for an amount that can't be one.
        """
        for dimension, amount in limits.items():
            possible(dimension, amount)
            row = cls.objects.filter(kind=kind, subject=subject, dimension=dimension)
            if amount is None:
                row.delete()
            elif not row.update(amount=amount):
                cls.objects.create(kind=kind, subject=subject, dimension=dimension, amount=amount)

    @classmethod
    def limit(cls, kind: str, subject: str, whose: str, wanted: Mapping[str, int | None]) -> None:
        """Sets limits of an owner or a team, numbers the change for running servers, and audits it under a name.

        Raises ValidationError for an amount that can't be one.
        """
        with transaction.atomic():
            head = KeyRevision.lock()
            before = cls.of(kind, subject)
            cls.put(kind, subject, wanted)
            after = cls.of(kind, subject)
            if after != before:
                head.append([Deed("limited", "", {"whose": (None, whose), "limits": (before, after)})])


def possible(dimension: str, amount: int | None) -> None:
    """Raises ValidationError for an amount that can be no limit."""
    if amount is not None and not 1 <= amount <= LARGEST:
        raise ValidationError(f"{dimension} {amount} is not possible: write a whole number from 1 to {LARGEST}.")


def said(limits: Mapping[str, int]) -> str:
    """Says limits in words for people, always in the same order."""
    held = ((dimension.label, limits[dimension]) for dimension in Allowance.Dimension if dimension in limits)
    return ", ".join(f"{amount:,} {label}" for label, amount in held)
