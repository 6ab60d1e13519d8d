"""Joins the lane to the account: what was spent, what may be spent, and who brings the journal into the database."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import Error, connection

from apikeys.feed import feed
from apikeys.keyring import ring
from gateway import __version__
from proxy.health import pulse
from proxy.live import live
from usage.account import chores_of, keeper_of
from usage.lately import resume
from usage.ledger import Clock, Ledger
from usage.limits import Room, limits
from usage.metrics import metrics
from usage.process_metrics import build_labels
from usage.refused_calls import refused_calls
from usage.refused_store import store_refused
from usage.shared.ended import EndedProcesses
from usage.spent import charged, new_budgets, spent, spent_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apikeys.keyring import Limits
    from proxy.running import Running
    from usage.dimensions import Allowance

# How long the event loop may take to count what was spent.
COUNT_SECONDS = 2.0


def spent_on(former: Limits, following: Limits) -> dict[tuple[str, str], int]:
    """Returns what was spent of the budgets that are new; raises the database's errors."""
    new = new_budgets(former, following)
    return spent_of(new, time.time()) if new else {}


class Accounting:
    """The running server's account, around what the proxy holds."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.ended = None if running.shared is None else EndedProcesses(running.shared, running.journal.writer, charged)
        self.keeper = keeper_of(settings.ENV, self.conclude)
        self.chores = chores_of(settings.ENV)
        self.joined = False
        self.loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """Takes up where earlier processes left off; blocks, and raises the database's errors."""
        self.keeper.catch_up()
        if isinstance(self.running.ledger, Ledger):
            self.remember(self.running.ledger, time.time())
        self.join()
        self.keeper.start(self.running.journal.writer)
        self.chores.start()

    async def share(self) -> None:
        """Begins to count together with other processes, if that is wanted."""
        if self.running.shared is not None:
            await self.running.shared.start(self.remembered)
        if self.ended is not None:
            self.ended.start()
        self.loop = asyncio.get_running_loop()
        feed.before_change = self.count_new_budgets
        if self.running.shared is not None:
            # Budgets may have been given while no process ran.
            self.running.shared.raise_spent(await asyncio.to_thread(self.spent_of_all))

    def spent_of_all(self) -> dict[tuple[str, str], int]:
        """Returns what was spent of all budgets; for a thread of its own."""
        try:
            return spent_on({}, ring.snapshot.limits)
        finally:
            connection.close()

    def count_new_budgets(self, former: Limits, following: Limits) -> None:
        """Has budgets that are given now count what was spent before; blocks, in a thread of the caller's.

        Raises the database's errors, and TimeoutError.
        """
        found = spent_on(former, following)
        if not found or self.loop is None or self.loop.is_closed():
            return
        counted = threading.Event()

        def count() -> None:
            self.running.ledger.raise_spent(found)
            counted.set()

        self.loop.call_soon_threadsafe(count)
        if not counted.wait(COUNT_SECONDS):
            raise TimeoutError

    def conclude(self, writer: str) -> bool:
        """Returns whether nothing more is to be done about a dead process whose journal is in the database."""
        return self.ended is None or self.ended.conclude(writer)

    def remember(self, ledger: Ledger, now: float) -> None:
        """Has a ledger count what the database knows, at `now` in epoch seconds; raises the database's errors."""
        ledger.restore(spent(now))
        resume(ledger, self.running.allowances, now)

    def remembered(self, now: float) -> Ledger:
        """Returns a ledger that has counted that; for a thread of its own."""
        ledger = Ledger(1, Clock(lambda: now, lambda: now))
        try:
            self.remember(ledger, now)
        finally:
            connection.close()
        return ledger

    def join(self) -> None:
        """Tells everybody whom to ask."""
        limits.rooms = self.rooms
        # Full, the journal takes nothing new: the door refuses it before, or lets it in and the journal counts it.
        place = self.running.door if settings.ENV.JOURNAL_FULL == "refuse" else self.running.journal
        place.is_full = lambda: self.keeper.full
        metrics.gauge("in_flight", "Calls that are under way", lambda: len(live.calls))
        metrics.gauge("waiting", "Calls that wait for their turn", lambda: len(self.running.turns.line))
        metrics.gauge("journal_bytes", "Journal that is not in the database yet", lambda: self.keeper.depth.bytes)
        metrics.gauge("journal_lines", "The same in lines", lambda: self.keeper.depth.lines)
        metrics.gauge(
            "journal_dropped", "Lines for which the journal had no room", lambda: self.running.journal.dropped
        )
        metrics.counter(
            "refusals_unrecorded_total",
            "Refused calls of which no record is kept",
            lambda: refused_calls.unrecorded,
        )
        metrics.gauge("upstream_up", "Whether Ollama answers: 1 or 0", lambda: float(pulse.version is not None))
        metrics.gauge(
            "upstream_connections", "Open connections to Ollama", lambda: self.running.upstream.connections[0]
        )
        metrics.gauge(
            "upstream_connections_idle", "Those of them that no call uses", lambda: self.running.upstream.connections[1]
        )
        metrics.gauge("build_info", "Which build this is; always 1", lambda: 1, build_labels(__version__))
        metrics.prepare = pulse.feel
        self.joined = True

    def close(self) -> None:
        """Brings the rest of the journal, which must be closed, into the database; blocks for ten seconds at most."""
        if self.joined:
            feed.before_change = lambda _former, _next: None
            self.chores.stop()
            with suppress(Error):
                store_refused()
            self.keeper.stop()

    async def rooms(self, key_id: str, owner_id: int | None, team: str) -> Iterable[Room]:
        """Returns what is left of the limits that apply to a key; raises Unavailable."""
        held = self.running.allowances.held(key_id, owner_id, team)
        if self.running.shared is not None and held:
            await self.running.shared.look(held)
        return [self.room(one) for one in held]

    def room(self, one: Allowance) -> Room:
        """Returns what is left of one limit."""
        left, resets = self.running.ledger.room(one)
        return Room(one.subject, one.dimension, one.amount, left, None if resets == float("inf") else resets)
