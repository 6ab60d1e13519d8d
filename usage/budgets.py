"""How far budgets are spent: whose, how much of how much, and when they begin anew."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import NamedTuple

from apikeys.models import Allowance
from usage.dimensions import BUDGETS, DAY, MONTH
from usage.names import labels, owners
from usage.spent import by_subject


class Spending(NamedTuple):
    """What a subject (`key:…`, `owner:…`, `team:…`) has spent of one of its budgets in the present period."""

    subject: str
    dimension: str
    amount: int
    spent: int
    period: str

    @property
    def percent(self) -> int:
        """Returns the share that is spent, rounded down; all of a budget of nothing."""
        return self.spent * 100 // self.amount if self.amount else 100


def spendings(defaults: Mapping[str, int], least: int, now: datetime | None = None) -> list[Spending]:
    """Returns the budgets of which at least so many percent are spent, the furthest first.

    `defaults` are the limits of keys that have none of their own.
    """
    today = (now or datetime.now(UTC)).date()
    found = [
        spending
        for (kind, dimension), amounts in limits(defaults).items()
        for spending in of_kind(kind, dimension, amounts, defaults.get(dimension) if kind == "key" else None, today)
        if spending.percent >= least
    ]
    return sorted(found, key=lambda spending: (-spending.percent, spending.subject, spending.dimension))


def shared(today: date) -> dict[str, list[Spending]]:
    """Returns what owners and teams have spent of each of their budgets, by subject."""
    found: dict[str, list[Spending]] = {}
    for (kind, dimension), amounts in limits({}).items():
        if kind != Allowance.Kind.KEY:
            spent = by_subject(kind, dimension, today)
            for subject, amount in amounts.items():
                one = Spending(subject, dimension, amount, spent.get(subject, 0), period_of(dimension, today))
                found.setdefault(subject, []).append(one)
    return found


def limits(defaults: Mapping[str, int]) -> dict[tuple[str, str], dict[str, int]]:
    """Returns the amounts of all budgets by subject, for each kind of subject and dimension that has any."""
    found: dict[tuple[str, str], dict[str, int]] = {
        ("key", dimension): {} for dimension in BUDGETS if defaults.get(dimension) is not None
    }
    for row in Allowance.objects.filter(dimension__in=BUDGETS):
        found.setdefault((row.kind, row.dimension), {})[f"{row.kind}:{row.subject}"] = row.amount
    return found


def of_kind(kind: str, dimension: str, amounts: Mapping[str, int], default: int | None, today: date) -> list[Spending]:
    """Returns what all subjects of one kind have spent of one dimension."""
    period = period_of(dimension, today)
    found = []
    for subject, tokens in by_subject(kind, dimension, today).items():
        amount = amounts.get(subject, default)
        if amount is not None:
            found.append(Spending(subject, dimension, amount, tokens, period))
    return found


def period_of(dimension: str, today: date) -> str:
    """Returns the name of a budget's present period: a day, a month, or nothing."""
    return {DAY: f"{today}", MONTH: f"{today:%Y-%m}"}.get(dimension, "")


def names(found: list[Spending]) -> dict[str, str]:
    """Returns what people call the subjects of some budgets."""
    subjects = [one.subject.partition(":") for one in found]
    named = {
        f"key:{name}": label for name, label in labels({name for kind, _, name in subjects if kind == "key"}).items()
    }
    users = owners({int(name) for kind, _, name in subjects if kind == "owner" and name.isdecimal()})
    named |= {f"owner:{number}": name for number, name in users.items()}
    return {f"{kind}:{name}": named.get(f"{kind}:{name}", name) for kind, _, name in subjects}
