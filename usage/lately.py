"""What was asked in the minute before this process began: a restart lets nobody ask more than a minute allows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from usage.counters import Rate, Requests
from usage.models import UsageRecord
from usage.windows import MINUTE

if TYPE_CHECKING:
    from usage.allowances import Allowances
    from usage.ledger import Ledger


class Begun(NamedTuple):
    """A call that began so many seconds ago, whose it was, and what it cost."""

    ago: float
    key: str
    owner: int | None
    team: str
    tokens: int


def lately(now: float) -> list[Begun]:
    """Returns the calls that ended in the minute before `now` (epoch seconds), the one that began first first."""
    since = datetime.fromtimestamp(now, UTC) - timedelta(seconds=MINUTE)
    # What was refused before it was admitted took nothing of a limit.
    rows = (
        UsageRecord.objects.filter(at__gte=since)
        .exclude(call="")
        .values_list("at", "total", "key", "owner", "team", "prompt_tokens", "completion_tokens")
    )
    found = [
        Begun(max(0.0, now - at.timestamp() + total), key, owner, team, prompt + completion)
        for at, total, key, owner, team, prompt, completion in rows.iterator()
    ]
    return sorted(found, key=lambda begun: -begun.ago)


def resume(ledger: Ledger, allowances: Allowances, now: float) -> None:
    """Has the ledger count them, under today's limits; what is in the journal yet is not among them."""
    for begun in lately(now):
        when = ledger.clock.monotonic() - begun.ago
        for limit, counter, _ in ledger.holding(allowances.held(begun.key, begun.owner, begun.team)).counted:
            if isinstance(counter, Requests):
                counter.minute.take(when)
            elif isinstance(counter, Rate):
                counter.flow.take(limit, begun.tokens, when)
