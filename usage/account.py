"""The running server's account: the keeper of its journal, and what the keeper sees to besides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage.alerts import Alerts
from usage.keeper import Chore, Keeper
from usage.pruning import cutoff, prune
from usage.webhook import Webhook

if TYPE_CHECKING:
    from gateway.env import Env

ALERT_SECONDS = 15.0
PRUNE_SECONDS = 86_400.0


def keeper_of(env: Env) -> Keeper:
    """Returns the keeper that the settings describe."""
    alerts = Alerts(env.default_allowances, Webhook(env.ALERT_WEBHOOK, env.ALERT_SECRET) if env.ALERT_WEBHOOK else None)
    chores = [
        Chore(ALERT_SECONDS, alerts.step),
        Chore(PRUNE_SECONDS, lambda: prune(cutoff(env.RECORD_DAYS)) > 0),
    ]
    return Keeper(env.journal_dir, env.JOURNAL_MAX_BYTES, chores)
