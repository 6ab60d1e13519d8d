"""One request's life, from its arrival to its end."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping
    from typing import Any

    from apikeys.principal import Principal
    from gateway.request import LaneRequest
    from gateway.rest import Refusal
    from proxy.admission import Admission
    from proxy.dialects.base import Reader

    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

# How a call can end.
DONE = "done"  # the answer reached its own end
REFUSED = "refused"  # we said no, or passed on that Ollama did
FAILED = "failed"  # Ollama failed, or we did
LEFT = "left"  # the client went away
CUT = "cut"  # we ended it: a timeout, a shutdown, a revoked key
LENGTH = "length"  # its budget was spent before its answer ended

# What the log says in place of a status when the client left before there was one; nginx coined it.
CLIENT_LEFT = 499
NEVER = float("inf")


class Closes(Protocol):
    """Something that a call holds open."""

    def close(self) -> None:
        """Lets go of it at once; a second time does nothing."""


class Usage(NamedTuple):
    """What an answer cost, as Ollama counted it (durations in nanoseconds); None where it did not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_duration: int | None = None
    load_duration: int | None = None
    prompt_eval_duration: int | None = None
    eval_duration: int | None = None
    estimated: bool = False
    cached_tokens: int | None = None  # of the prompt's tokens those that Ollama took from its cache


UNCOUNTED = Usage()


class Facts(NamedTuple):
    """What a permitted request asks for."""

    model: str  # as the client spells it
    target: str  # as Ollama gets it
    canonical: str
    streamed: bool
    hide_usage: bool = False
    prompt_estimate: int = 0
    warning: str = ""  # what its answer's X-Gateway-Warning is about, in a word

    @property
    def renamed(self) -> bool:
        """Tells whether Ollama knows the model by another name than the client."""
        return self.model != self.target


class Outcome:
    """How a call went; it holds what differs from these."""

    status: int = 0
    ended: str = ""
    wait: float = 0.0  # for a turn, in seconds
    first_byte: float | None = None
    received_bytes: int = 0  # of the request's body
    sent_bytes: int = 0  # of the answer's body
    answer_bytes: int = 0  # of an answer in one piece, as far as it came from Ollama
    dispatched: bool = False  # Ollama was asked
    asked_at: float = 0.0  # when that was, on the monotonic clock
    usage: Usage = UNCOUNTED
    error: str = ""  # the code of what went wrong
    reason: str = ""  # the same for people; it quotes no prompt and no answer


class Call:
    """A request on the machine lane; it holds what differs from what stands here.

    Every call ends in `finish`, whichever way it goes: it closes what the call holds open and tells the world once.
    """

    route: str = ""  # the path of the table's row; a path that is in no table is nobody's business
    dialect: str = ""  # the name of the surface that its client speaks
    principal: Principal | None = None
    user_agent: str = ""
    facts: Facts | None = None
    reader: Reader | None = None
    admission: Admission | None = None
    answered: int = 200  # the status of Ollama's answer, once there is one
    settled: bool = False
    share: Closes | None = None  # of the memory for bodies; given back when the body was sent on
    refusal: Refusal | None = None
    watcher: asyncio.Task[None] | None = None
    # The call is cut with the refusal `timeout()` once the clock passes `deadline` (proxy/live.py looks).
    deadline: float = NEVER
    timeout: Callable[[], Refusal] | None = None
    on_finish: Callable[[Call], None] | None = None
    finished: bool = False

    def __init__(self, request_id: str, method: str, path: str, client: str) -> None:
        self.request_id = request_id
        self.method = method
        self.path = path
        self.client = client
        self.started = monotonic()
        self.task = asyncio.current_task()
        self.outcome = Outcome()
        self.holds: list[Closes] = []

    def cut(self, refusal: Refusal) -> None:
        """Ends a running call from outside: its client gets `refusal` as an answer, or as its stream's last event."""
        if self.refusal is None and not self.finished and self.task is not None:
            self.refusal = refusal
            self.task.cancel()

    def leave(self) -> None:
        """Ends a running call whose client is gone."""
        if not self.finished and self.task is not None:
            self.outcome.ended = LEFT
            self.task.cancel()

    def watch(self, request: LaneRequest) -> None:
        """Ends the call when its client goes away; to be called once the request's body is read, or is to be unread."""
        departure = request.scope.get("departure")
        if departure is not None and request.is_read:
            departure.tell(self.leave)
        else:
            # A body that nobody reads holds the connection up: only `receive` gets past it.
            self.watcher = asyncio.get_running_loop().create_task(self.watched(request.receive))

    async def watched(self, receive: Receive) -> None:
        """Waits for the client to go."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self.leave()

    def wait_until(self, deadline: float, timeout: Callable[[], Refusal]) -> None:
        """Cuts the call with `timeout()` when it is still in this stage at `deadline` (monotonic seconds)."""
        self.deadline = deadline
        self.timeout = timeout

    def note_waiting(self, *, waits: bool) -> None:
        """Notes that the call waits for its turn, or does so no more."""
        if self.admission is not None:
            self.admission.note_waiting(waits=waits)

    def wait_no_more(self) -> None:
        """Stops the clock: what the call does now is bounded elsewhere."""
        self.deadline = NEVER

    def finish(self) -> None:
        """Closes what the call holds open and reports it, once."""
        if self.finished:
            return
        self.finished = True
        if not self.outcome.status:
            self.outcome.status = CLIENT_LEFT
            self.outcome.ended = LEFT
        watcher, self.watcher = self.watcher, None
        if watcher is not None:
            watcher.cancel()
        self.release()
        self.settle()
        if self.on_finish is not None:
            self.on_finish(self)

    def release(self) -> None:
        """Closes what the call holds open, which stops Ollama's work; a second time does nothing."""
        for held in self.holds:
            held.close()

    def settle(self) -> None:
        """Charges what the call cost, once: when its terminal mark was read, or when it ended otherwise."""
        if self.settled:
            return
        self.settled = True
        self.estimate()
        if self.admission is not None:
            self.admission.settle(self)

    def estimate(self) -> None:
        """Fills in what the call cost where Ollama did not say it: about a token a frame, or what time allows."""
        outcome = self.outcome
        if self.reader is not None and outcome.usage.prompt_tokens is None:
            outcome.usage = self.reader.spent()  # it may have come to the counts before the call broke off
        prompt, written = outcome.usage.prompt_tokens, outcome.usage.completion_tokens
        if self.facts is None or not outcome.dispatched or not (prompt is None or written is None):
            return
        if outcome.ended in (REFUSED, FAILED) and self.reader is None:
            return  # nothing was generated
        prompt, cached = self.facts.prompt_estimate if prompt is None else prompt, outcome.usage.cached_tokens
        outcome.usage = outcome.usage._replace(
            prompt_tokens=prompt,
            completion_tokens=self.uncounted() if written is None else written,
            cached_tokens=None if cached is None else min(cached, prompt),
            estimated=True,
        )

    def uncounted(self) -> int:
        """Returns about how many tokens Ollama has written that it did not come to count."""
        if self.reader is not None:
            return self.reader.events
        if self.facts is None or self.facts.streamed or self.admission is None:
            return 0
        return self.admission.unheard(self)
