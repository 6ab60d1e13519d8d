"""Measures the pages and reports on the database that DATABASE_URL names: `python -m tests.usage.measure`.

`tests.usage.fill` makes one that is worth measuring. Times are those of the server's side, templates and middleware
included; the first of each is shown apart, since it finds nothing in memory.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import django

TIMES = 7


def measure(name: str, step: Callable[[], object], times: int = TIMES) -> None:
    """Prints how many milliseconds a step takes."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        step()
        taken.append((time.perf_counter() - began) * 1000)
    rest = taken[1:] or taken
    print(f"{name:42} first {taken[0]:8.1f}   median {statistics.median(rest):8.1f}   most {max(rest):8.1f} ms")  # noqa: T201 -- a command


def main() -> None:
    """Measures all there is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prune", type=int, help="delete so many records, too")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
    django.setup()
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.test import Client, RequestFactory

    from apikeys.models import Key
    from apikeys.principal import Principal
    from usage.asking import asked
    from usage.budgets import spendings
    from usage.models import UsageDay, UsageHour, UsageMonth, UsageRecord
    from usage.pruning import cutoff, prune
    from usage.spent import spent
    from usage.views import answer

    settings.ALLOWED_HOSTS = ["testserver"]
    for table in (UsageRecord, UsageHour, UsageDay, UsageMonth, Key):
        print(f"{table.__name__:12} {table.objects.count():>10,}")  # noqa: T201
    client = Client()
    client.force_login(User.objects.get_or_create(username="measure", is_staff=True, is_superuser=True)[0])
    key = Key.objects.order_by("pk").first()
    assert key is not None
    for period in ("day", "week", "month", "year"):
        measure(f"front page, {period}", lambda period=period: client.get(f"/admin/?period={period}").content)
    for period in ("week", "year"):
        path = f"/admin/usage/usageday/?key={key.key_id}&period={period}"
        measure(f"a key's page, {period}", lambda path=path: client.get(path).content)
        path = f"/admin/usage/usageday/?model=mistral&period={period}"
        measure(f"a model's page, {period}", lambda path=path: client.get(path).content)
    measure("list of calls", lambda: client.get("/admin/usage/usagerecord/").content)
    who = Principal(key.key_id, key.label, scopes=frozenset({"keys"}))
    for query in (
        {},
        {"since": "2020-01-01"},
        {"key": "all", "by": "day,model"},
        {"key": "all"},
        {"key": "all", "since": "2020-01-01"},
        {"key": "all", "by": "key"},
        {"key": "all", "by": "key", "since": "2020-01-01"},
        {"key": "all", "by": "key", "since": "2026-02-16", "until": "2026-10-15"},
        {"key": "all", "by": "team", "since": "2020-01-01"},
        {"key": "all", "by": "key,model,route", "since": "2020-01-01"},
        {"key": "all", "by": "day,team", "since": "2020-01-01"},
        {"key": "all", "by": "team,day", "since": "2020-01-01"},
        {"key": "all", "by": "model", "since": "2020-01-01"},
        {"key": "all", "team": "research", "since": "2020-01-01"},
        {"key": "all", "by": "model", "team": "research", "since": "2020-01-01"},
    ):
        request = RequestFactory().get("/api/v1/usage", query)
        measure(f"usage {query}", lambda query=query, request=request: answer(asked(query, who), [], request))
    measure("what the ledger starts from", lambda: spent(time.time()))
    measure("budgets", lambda: spendings(settings.ENV.default_allowances, 50))
    if options.prune:
        measure("pruning a portion", lambda: prune(cutoff(0)), max(1, options.prune // 500))


if __name__ == "__main__":
    main()
