"""The running server's account: the keeper of its journal, and what is seen to besides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage.alerts import Alerts
from usage.chores import Chore, Chores
from usage.keeper import Keeper
from usage.pruning import cutoff, prune
from usage.refused_store import store_refused
from usage.webhook import Webhook

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.env import Env

ALERT_SECONDS = 15.0
PRUNE_SECONDS = 86_400.0
REFUSED_SECONDS = 0.5


def keeper_of(env: Env, conclude: Callable[[str], bool]) -> Keeper:
    """Returns the keeper that the settings describe."""
    return Keeper(env.journal_dir, env.JOURNAL_MAX_BYTES, conclude)


def chores_of(env: Env) -> Chores:
    """Returns the chores that the settings describe."""
    alerts = Alerts(env.default_allowances, Webhook(env.ALERT_WEBHOOK, env.ALERT_SECRET) if env.ALERT_WEBHOOK else None)
    return Chores(
        [
            Chore("telling of budgets", ALERT_SECONDS, alerts.step),
            Chore("storing refused calls", REFUSED_SECONDS, store_refused),
            Chore("pruning records", PRUNE_SECONDS, lambda: prune(cutoff(env.RECORD_DAYS)) > 0),
        ]
    )
