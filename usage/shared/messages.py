"""What a process tells the shared ledger: in order, each once, and many at a time.

One message is under way at any time; what comes up meanwhile goes with the next.  A message whose answer does not come
is sent again under its number until it is answered, so that nothing is applied twice or left out, however often the
connection breaks.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from usage.dimensions import BUDGETS
from usage.ledger import Unavailable
from usage.metrics import metrics
from usage.shared.link import Away, Renewed
from usage.shared.operation import Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from usage.shared.link import Epoch, Link

MOST = 100  # operations in a message: some milliseconds of a Redis that does nothing else meanwhile
TICK = 0.1
# After the death of a process, what it held is free within this time, though nobody reads its journal.
GONE_SECONDS = 15.0
BEAT_SECONDS = 3.0
# A lease ends unnoticed until another process beats, and that message takes up to a second.
LEASE_SECONDS = GONE_SECONDS - BEAT_SECONDS - 1.0
# A line of the journal is in the database after this many seconds, if all is well (usage/keeper.py).
JOURNAL_LAG = 2.0
# How Redis can lose what was counted.
EMPTIED, RESTARTED = "emptied", "restarted or replaced"
PAUSES = (0.0, 0.05, 0.1, 0.2, 0.5)  # before another attempt

log = logging.getLogger("gateway.limits")


class Listener(Protocol):
    """Who must know when the count begins anew."""

    def adopted(self) -> Iterable[list[Any]]:
        """Returns the operations that count what runs at this moment."""


class Messages:
    """The queue of a process, and the task that works it off."""

    def __init__(self, link: Link, grace: float, step: int) -> None:
        self.link = link
        self.grace = grace
        self.step = step
        self.clock: Callable[[], float] | None = None  # tests set the time
        self.queue: deque[Operation] = deque()
        self.under_way: list[Operation] = []
        self.listener: Listener | None = None
        self.on_return: Callable[[], None] = lambda: None
        self.living = 1
        self.number = 0
        self._asking_since: float | None = None
        self._said_away = False
        self._reason = "no answer"
        self._beat_due = 0.0
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def away(self) -> bool:
        """Tells whether Redis has not answered for longer than the grace."""
        return self._asking_since is not None and monotonic() - self._asking_since >= self.grace

    def start(self) -> None:
        """Begins to work, on the running event loop."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._work()), loop.create_task(self._watch())]

    async def stop(self, seconds: float) -> bool:
        """Delivers what is left, for that long at most, and stops; returns whether all was delivered."""
        delivered = True
        try:
            async with asyncio.timeout(seconds):
                await self.ask("bye")
        except (TimeoutError, Unavailable):
            delivered = False
            log.warning(
                "Redis could not be told how the last calls ended: they are charged what they can have written until a "
                "process reads this one's journal."
            )
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for operation in (*self.under_way, *self.queue):
            operation.fail()
        await self.link.close()
        return delivered

    def put(self, *what: Any) -> None:
        """Has an operation done some time; never waits."""
        self.queue.append(Operation(list(what)))
        self._wake.set()

    async def ask(self, *what: Any, late: Callable[[], None] | None = None) -> Any:
        """Has an operation done and returns its answer; raises Unavailable when none comes in time.

        Where the answer comes too late, or its asker was cancelled, `late` is called.
        """
        if self.away:
            raise Unavailable
        coming = asyncio.get_running_loop().create_future()
        self.queue.append(Operation(list(what), coming, late))
        self._wake.set()
        try:
            return await coming
        except asyncio.CancelledError:
            if late is not None and coming.done() and not coming.cancelled() and coming.exception() is None:
                late()
            raise

    async def _watch(self) -> None:
        """Lets nobody wait longer than the grace, and says now and then that this process lives."""
        while True:
            await asyncio.sleep(TICK)
            if self.away:
                self._say_away()
                for operation in (*self.under_way, *self.queue):
                    operation.fail()
                self.queue = deque(operation for operation in self.queue if not operation.given_up)
            if monotonic() >= self._beat_due:
                self._wake.set()

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self.queue or monotonic() >= self._beat_due:
                self.under_way = [self.queue.popleft() for _ in range(min(len(self.queue), MOST))]
                try:
                    await self._deliver(self.under_way)
                except Exception:
                    log.exception("Unforeseen: a message to Redis is given up")
                    for operation in self.under_way:
                        operation.fail()
                self.under_way = []

    async def _deliver(self, operations: list[Operation]) -> None:
        """Delivers a message, however long it takes."""
        self.number += 1
        beat = monotonic() >= self._beat_due
        message = {
            "process": self.link.process,
            "seq": self.number,
            "step": self.step,
            "lease": LEASE_SECONDS,
            "beat": beat,
            "ops": [operation.what for operation in operations],
        }
        if self.clock is not None:
            message["now"] = self.clock()
        attempts = 0
        if self._asking_since is None:
            self._asking_since = monotonic()
        while True:
            try:
                said = await self.link.exchange(message)
                break
            except Renewed:
                if await self._renewed(operations):
                    return
            except Away as reason:
                self._reason = str(reason)
            await asyncio.sleep(PAUSES[min(attempts, len(PAUSES) - 1)])
            attempts += 1
        if beat:
            self._beat_due = monotonic() + BEAT_SECONDS
        self._returned()
        self._hand_out(operations, said)

    async def _renewed(self, operations: list[Operation]) -> bool:
        """Enters the present epoch: what runs is counted there, and what still matters waits to be sent again."""
        before = self.link.epoch
        try:
            epoch = await self.link.enter()
        except Away as reason:
            self._reason = str(reason)
            return False
        if before is not None and before.name != epoch.name:
            self._say_lost(EMPTIED if before.run == epoch.run else RESTARTED)
        pending = [operation for operation in (*operations, *self.queue) if self._matters(operation, epoch)]
        adopted = self.listener.adopted() if self.listener is not None else ()
        self.queue = deque([*(Operation(what) for what in adopted), *pending])
        self.number = 0
        self._returned()
        return True

    def _matters(self, operation: Operation, epoch: Epoch) -> bool:
        """Tells whether an operation is still to be done in a new epoch."""
        match operation.what:
            case ["adopt", *_]:
                return False
            case ["settle", _, _, held]:
                # What ended before the database was asked is in its sums, if its line was there by then.
                is_counted = operation.at + self.link.ahead < epoch.seeded_at - JOURNAL_LAG
                return not is_counted and any(dimension in BUDGETS for _, dimension, _ in held)
        return not operation.given_up

    def _hand_out(self, operations: list[Operation], said: dict[str, Any]) -> None:
        """Gives everybody the answer."""
        answers = said.get("answers") or []  # Lua has one empty table for lists and objects
        if not isinstance(answers, list) or len(answers) != len(operations):
            # The script broke off in the middle, or another server answers: what was taken is given back.
            log.error("Redis can't do what it is asked: is something else using its keys {gw}:*?")
            for operation in operations:
                operation.fail()
                if operation.what[0] == "reserve":
                    self.put("settle", operation.what[1], 0, [])
            return
        self.living = max(1, int(said.get("living") or 1))
        if said.get("buried"):
            log.warning(
                "A process was not heard of any more: its calls (%d) are charged what they can have written.",
                said["buried"],
            )
        for operation, answer in zip(operations, answers, strict=True):
            operation.answer(answer)

    @staticmethod
    def _say_lost(reason: str) -> None:
        metrics.lost_counters[reason,] += 1
        log.warning(
            "Redis lost the shared counters (it was %s): budgets and the requests of the last minute are restored from "
            "the database, calls in progress from each process. Rates of tokens and refusals are counted from zero.",
            reason,
        )

    def _say_away(self) -> None:
        if not self._said_away:
            self._said_away = True
            log.error(
                "Redis is away (%s): keys with limits are refused, and each process lets its share of MAX_IN_FLIGHT "
                "through. See REDIS_URL.",
                self._reason,
            )

    def _returned(self) -> None:
        self._asking_since = None
        if self._said_away:
            self._said_away = False
            log.warning("Redis is there again: calls of keys with limits are served.")
            self.on_return()
