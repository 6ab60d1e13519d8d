"""What Ollama says about itself and its models: asked once for all who ask at a time, and kept for seconds.

Reading costs no request of a limit and no turn, so it is bounded here: one question is under way once however many
clients wait for its answer, MOST_AT_ONCE questions are under way at all, and a key asks a bounded number of different
ones a minute (`ReadRate`).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from http import HTTPStatus
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from proxy.exceptions import TooManyReads, UpstreamBroke, UpstreamError
from proxy.upstream import BROKEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.upstream import Upstream

MOST_AT_ONCE = 8
# What is kept at most: answers, bytes of all of them, bytes of one.
MAX_ENTRIES = 512
MAX_BYTES = 16 * 2**20
MAX_ENTRY_BYTES = 2**20
# An answer of `verbose` has tens of megabytes.
MAX_ANSWER_BYTES = 128 * 2**20
TOO_LARGE = "Ollama's answer is too large to be passed on."

# How many questions that no kept answer serves a key may ask at once, and how many more each second.
BURST = 300.0
REFILL = 5.0
MAX_KEYS = 4096


class Question(NamedTuple):
    """A request for metadata; equal ones have the same answer."""

    method: str
    path: str
    body: bytes = b""


class Reply(NamedTuple):
    """What Ollama answered."""

    status: int
    body: bytes


class Flight:
    """A question that is under way, and how many wait for its answer."""

    __slots__ = ("task", "waiters")

    def __init__(self, task: asyncio.Task[Reply | UpstreamError]) -> None:
        self.task = task
        self.waiters = 0


class MetadataCache:
    """Asks one Ollama, and keeps its answers."""

    def __init__(self, upstream: Callable[[], Upstream]) -> None:
        self.upstream = upstream
        self.kept: OrderedDict[Question, tuple[float, Reply]] = OrderedDict()  # until when, and what
        self.size = 0
        self.flights: dict[Question, Flight] = {}
        self.places = asyncio.Semaphore(MOST_AT_ONCE)
        self.generation = 0

    def known(self, question: Question) -> Reply | None:
        """Returns an answer that is still good."""
        found = self.kept.get(question)
        if found is None:
            return None
        if found[0] > monotonic():
            return found[1]
        self.drop(question)
        return None

    async def get(self, question: Question, seconds: float = 0.0) -> Reply:
        """Returns the answer to a question, kept for so many seconds if it is a good one.  Raises UpstreamError."""
        known = self.known(question)
        if known is not None:
            return known
        flight = self.flights.get(question)
        if flight is None:
            task = asyncio.get_running_loop().create_task(self.ask(question, seconds, self.generation))
            flight = self.flights[question] = Flight(task)
        flight.waiters += 1
        try:
            answer = await asyncio.shield(flight.task)
        finally:
            flight.waiters -= 1
            if not flight.waiters:
                self.end(question, flight)
        if isinstance(answer, UpstreamError):
            raise answer.with_traceback(None)
        return answer

    def end(self, question: Question, flight: Flight) -> None:
        """Ends a question that is answered, or for whose answer nobody waits any more."""
        flight.task.cancel()
        if self.flights.get(question) is flight:
            del self.flights[question]

    async def ask(self, question: Question, seconds: float, generation: int) -> Reply | UpstreamError:
        """Asks Ollama; a failure is returned, since several may wait for it."""
        method, path, body = question
        async with self.places:
            try:
                reply = Reply(*await self.upstream().small(path, MAX_ANSWER_BYTES, method, body))
            except UpstreamError as error:
                return error.with_traceback(None)
            except BROKEN:
                return UpstreamBroke()
            except ValueError:
                return UpstreamBroke(TOO_LARGE)
        if seconds and reply.status == HTTPStatus.OK and generation == self.generation:
            self.keep(question, reply, monotonic() + seconds)
        return reply

    def keep(self, question: Question, reply: Reply, until: float) -> None:
        """Keeps an answer, and drops the oldest where there are too many."""
        size = len(reply.body) + len(question.body)
        if size > MAX_ENTRY_BYTES:
            return
        self.drop(question)
        self.kept[question] = until, reply
        self.size += size
        while len(self.kept) > MAX_ENTRIES or self.size > MAX_BYTES:
            self.drop(next(iter(self.kept)))

    def drop(self, question: Question) -> None:
        """Drops an answer, if it is kept."""
        found = self.kept.pop(question, None)
        if found is not None:
            self.size -= len(found[1].body) + len(question.body)

    def forget(self) -> None:
        """Drops everything: models have changed.  Who asks from now on does not get an answer begun before."""
        self.generation += 1
        self.kept.clear()
        self.size = 0
        self.flights.clear()

    def close(self) -> None:
        """Does so at the end of a call that holds it, which may have changed the models until then."""
        self.forget()


class ReadRate:
    """How many questions each key may still ask: BURST at once, REFILL more each second."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.clock = clock
        self.left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # by key: how many, and at which time

    def may_take(self, key_id: str) -> bool:
        """Counts one question, if it may be asked."""
        try:
            self.take(key_id)
        except TooManyReads:
            return False
        return True

    def take(self, key_id: str) -> None:
        """Counts one question; raises TooManyReads."""
        now = self.clock()
        left, at = self.left.pop(key_id, (BURST, now))
        left = min(BURST, left + (now - at) * REFILL)
        if left < 1:
            self.left[key_id] = left, now
            raise TooManyReads((1 - left) / REFILL)
        self.left[key_id] = left - 1, now
        if len(self.left) > MAX_KEYS:
            self.left.popitem(last=False)
