"""`manage.py pruneusage`: old records go, the sums stay."""

from __future__ import annotations

import io
import time

import orjson
import pytest
from django.core.management import CommandError, call_command
from django.db.models import Sum

from tests.usage.journals import ended
from usage import pruning
from usage.applying import store
from usage.lines import read
from usage.models import UsageDay, UsageRecord

pytestmark = pytest.mark.django_db
DAY = 86_400.0


def said(*arguments: str) -> str:
    out = io.StringIO()
    call_command("pruneusage", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def ages() -> list[float]:
    """The ages of the stored records, in days."""
    found = [0.0, 1.0, 29.9, 30.1, 89.9, 90.1, 400.0]
    store([read(orjson.dumps(ended(f"{age:024}", at=time.time() - age * DAY))) for age in found])
    return found


def kept() -> list[float]:
    return sorted(float(call) for call in UsageRecord.objects.values_list("call", flat=True))


def test_records_go_after_the_time_that_is_set(ages: list[float]) -> None:
    assert said().startswith("2 records from before ")
    assert kept() == ages[:5]


def test_another_time_can_be_named(ages: list[float]) -> None:
    said("--days", "30")
    assert kept() == ages[:3]


def test_the_sums_stay(ages: list[float]) -> None:
    said("--days", "0")
    assert kept() == []
    assert UsageDay.objects.filter(key="").aggregate(all=Sum("requests"))["all"] == len(ages)


def test_it_takes_small_portions(ages: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    assert pruning.prune(pruning.cutoff(0), most=2) == 2
    assert kept() == ages[:5], "the oldest go first"


def test_negative_days_are_refused() -> None:
    with pytest.raises(CommandError, match="0 or more"):
        said("--days", "-1")
