"""What the server sees to now and then, each on a thread of its own: a webhook that hangs holds up nothing else."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from django.db import connection

# Between two parts of a chore, in seconds: others want the database, too.
PAUSE = 0.25
RETRY_SECONDS = 15.0
STOP_SECONDS = 1.0

log = logging.getLogger("gateway.usage")


@dataclass(slots=True)
class Chore:
    """Something that is done every so many seconds, for the first time soon after the start.

    `step` does a small part of it and returns True while there is more.
    """

    name: str
    every: float
    step: Callable[[], bool]
    stopping: threading.Event = field(default_factory=threading.Event)
    failed: bool = False

    def run(self) -> None:
        """Does it again and again."""
        pause = PAUSE
        while not self.stopping.wait(pause):
            pause = self.attempt()
        connection.close()

    def attempt(self) -> float:
        """Does a part of it; returns in how many seconds to go on.  Whatever fails is said once, and tried again."""
        try:
            more = self.step()
        except Exception as error:  # noqa: BLE001 -- the thread must outlive every surprise
            if not self.failed:
                log.error("%s failed (%s): it is tried again.", self.name, type(error).__name__)  # noqa: TRY400 -- one line is enough
            self.failed = True
            connection.close()  # the next attempt opens a new one: this one may be dead
            return RETRY_SECONDS
        self.failed = False
        return PAUSE if more else self.every


class Chores:
    """The threads of some chores."""

    def __init__(self, chores: Iterable[Chore]) -> None:
        self.chores = list(chores)
        self.threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begins."""
        for chore in self.chores:
            chore.stopping.clear()
            thread = threading.Thread(target=chore.run, name=chore.name, daemon=True)
            thread.start()
            self.threads.append(thread)

    def stop(self) -> None:
        """Ends them; one that is in the middle of something is waited for STOP_SECONDS at most."""
        for chore in self.chores:
            chore.stopping.set()
        for thread in self.threads:
            thread.join(STOP_SECONDS)
        self.threads.clear()
