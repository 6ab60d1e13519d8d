"""Tells of budgets that are nearly or wholly spent: a line in the log, and a webhook."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from usage.budgets import Spending, names, spendings
from usage.models import BudgetAlert
from usage.webhook import Webhook

LEVELS = (100, 80)
# How long after each attempt the next one follows, in seconds; after the last nobody tries any more.
PAUSES = (10, 60, 600, 3600, 6 * 3600, 12 * 3600)

log = logging.getLogger("gateway.usage")


@dataclass(slots=True)
class Alerts:
    """Watches the budgets; `defaults` are the limits of keys that have none of their own."""

    defaults: Mapping[str, int]
    webhook: Webhook | None = None

    def step(self) -> bool:
        """Notes what has passed a level since the last time, and tells the webhook of one; True while more wait."""
        self.watch()
        return self.deliver()

    def watch(self) -> None:
        """Notes each budget that has passed a level, once a period, and once more where it was raised since."""
        found = spendings(self.defaults, least=min(LEVELS))
        rows = BudgetAlert.objects.filter(period__in={one.period for one in found})
        known = {
            (subject, dimension, period, level): amount
            for subject, dimension, period, level, amount in rows.values_list(
                "subject", "dimension", "period", "level", "amount"
            )
        }
        for one in found:
            passed = [level for level in LEVELS if one.percent >= level]
            news = [
                level for level in passed if known.get((one.subject, one.dimension, one.period, level), 0) < one.amount
            ]
            for level in news:
                # Whoever passes both levels at once hears of the higher one only.
                self.note(one, level, tell=level == passed[0])

    def note(self, one: Spending, level: int, *, tell: bool) -> None:
        """Notes one level, unless another process just did."""
        now = timezone.now()
        which = {"subject": one.subject, "dimension": one.dimension, "period": one.period, "level": level}
        what = {"spent": one.spent, "amount": one.amount, "at": now, "due": now if tell and self.webhook else None}
        _, made = BudgetAlert.objects.get_or_create(**which, defaults=what)
        if not made:
            raised = BudgetAlert.objects.filter(**which, amount__lt=one.amount)
            made = raised.update(**what, attempts=0) > 0
        if made and tell:
            log.warning(
                "%s (%s) has spent %d %% of its %s: %d of %d.",
                names([one])[one.subject],
                one.subject,
                one.percent,
                one.dimension,
                one.spent,
                one.amount,
            )

    def deliver(self) -> bool:
        """Tells the webhook of one alert that is due; returns whether more are."""
        if self.webhook is None:
            return False
        now = timezone.now()
        due = BudgetAlert.objects.filter(due__lte=now).order_by("due")
        alert = due.first()
        if alert is None:
            return False
        last = alert.attempts >= len(PAUSES)
        following = None if last else now + timedelta(seconds=PAUSES[alert.attempts])
        # Taken before it is told: two processes must not both tell it, and one that dies meanwhile tells it later.
        mine = BudgetAlert.objects.filter(pk=alert.pk, attempts=alert.attempts, due=alert.due)
        if mine.update(attempts=alert.attempts + 1, due=following):
            failure = self.webhook.tell(said(alert))
            if failure is None:
                BudgetAlert.objects.filter(pk=alert.pk).update(due=None)
            else:
                log.error("The webhook for alerts failed (%s)%s.", failure, ": given up" if last else "; tried again")
        return due.exists()


def said(alert: BudgetAlert) -> dict[str, Any]:
    """Returns what the webhook is told."""
    one = Spending(alert.subject, alert.dimension, alert.amount, alert.spent, alert.period)
    return {
        "event": "budget",
        "id": alert.pk,
        "level": alert.level,
        "subject": alert.subject,
        "name": names([one])[alert.subject],
        "dimension": alert.dimension,
        "period": alert.period,
        "spent": alert.spent,
        "amount": alert.amount,
        "at": alert.at.isoformat(timespec="seconds"),
    }
