"""Joins the lane to the account: what was spent, what may be spent, and who brings the journal into the database."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from django.conf import settings

from apikeys.feed import feed
from proxy.live import live
from usage.account import keeper_of
from usage.following import AllowanceFollower
from usage.lately import resume
from usage.limits import Room, limits
from usage.metrics import metrics
from usage.spent import spent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.running import Running


class Accounting:
    """The running server's account, around what the proxy holds."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.keeper = keeper_of(settings.ENV)
        self.follower = AllowanceFollower(running.allowances)
        self.joined = False

    def open(self) -> None:
        """Takes up where earlier processes left off; blocks, and raises the database's errors."""
        self.keeper.catch_up()
        now = time.time()
        self.running.ledger.restore(spent(now))
        self.follower()
        resume(self.running.ledger, self.running.allowances, now)
        self.join()
        self.keeper.start(self.running.journal.writer)

    def join(self) -> None:
        """Tells everybody whom to ask."""
        feed.listeners.append(self.follower)
        limits.rooms = self.rooms
        if settings.ENV.JOURNAL_FULL == "refuse":
            self.running.door.is_full = lambda: self.keeper.full
        metrics.gauge("in_flight", "Calls that are under way", lambda: len(live.calls))
        metrics.gauge("waiting", "Calls that wait for their turn", lambda: len(self.running.turns.line))
        metrics.gauge("journal_bytes", "Journal that is not in the database yet", lambda: self.keeper.depth.bytes)
        metrics.gauge("journal_lines", "The same in lines", lambda: self.keeper.depth.lines)
        metrics.gauge("journal_dropped", "Lines that no disk took", lambda: self.running.journal.dropped)
        self.joined = True

    def close(self) -> None:
        """Brings the rest of the journal, which must be closed, into the database; blocks for ten seconds at most."""
        if self.joined:
            feed.listeners.remove(self.follower)
            self.keeper.stop()

    def rooms(self, key_id: str, owner_id: int | None, team: str) -> Iterable[Room]:
        """Returns what is left of the limits that apply to a key."""
        for one in self.running.allowances.held(key_id, owner_id, team):
            left, resets = self.running.ledger.room(one)
            yield Room(one.subject, one.dimension, one.amount, left, None if resets == float("inf") else resets)
