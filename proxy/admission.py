"""Lets a permitted call in: what it may cost is reserved before Ollama is asked, and settled when it has ended."""

from __future__ import annotations

import math
import random
from time import monotonic, time
from typing import TYPE_CHECKING, Generic, TypeVar

from proxy.caps import set_cap
from proxy.estimate import tokens_of
from proxy.exceptions import JournalFull, OverLimit
from proxy.lines import admitted_line, ended_line
from proxy.speed import speeds
from usage.ledger import Exhausted, Ledger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from apikeys.principal import Principal
    from proxy.call import Call
    from proxy.policy import Ask
    from proxy.routes import Route
    from usage.dimensions import Allowance
    from usage.journal import Journal
    from usage.ledger import Reservation
    from usage.shared.ledger import SharedReservation

NEVER = math.inf
GATEWAY_TIMEOUT = 504
AnyLedger = TypeVar("AnyLedger")


def new_call_id() -> str:
    """Returns an id that no other call has, for the journal and what is reserved."""
    return f"{random.getrandbits(96):024x}"


class Entrance(Generic[AnyLedger]):
    """Where calls are let in, and into the journal; what comes before is for a door to say."""

    def __init__(
        self,
        ledger: AnyLedger,
        journal: Journal,
        allowances: Callable[[Principal], Sequence[Allowance]],
        *,
        must_account: bool,
        addresses: str = "off",
    ) -> None:
        self.ledger = ledger
        self.journal = journal
        self.allowances = allowances
        self.must_account = must_account  # whether to refuse what can't be accounted for
        self.addresses = addresses  # how much of a client's address its record keeps
        self.is_full: Callable[[], bool] = lambda: False

    def check_journal(self) -> None:
        """Raises JournalFull where a call could not be accounted for."""
        if (self.journal.broken and not self.journal.flush() and self.must_account) or self.is_full():
            raise JournalFull

    def enter(
        self,
        call: Call,
        route: Route,
        asked: Ask,
        reservation: Reservation | SharedReservation | None,
        call_id: str,
    ) -> None:
        """Lets a call in on what is reserved for it; `call_id` is what the journal calls it."""
        most = asked.cap
        if reservation is not None and route.shape.cap:
            cap = reservation.cap
            if cap is not None and cap != most:
                asked.changed.append(set_cap(asked.payload, route.shape.cap, cap))
                most = cap
        call.admission = Admission(self.journal, reservation, self.addresses, most, call_id)
        self.journal.append(admitted_line(call, call.admission))


class Door(Entrance[Ledger]):
    """The door of a process that counts the limits itself."""

    def admit(self, call: Call, route: Route, asked: Ask) -> None:
        """Reserves and notes; lowers the answer's cap to what is left.  Raises OverLimit and JournalFull."""
        self.check_journal()
        assert call.principal is not None  # noqa: S101 -- the view has authenticated it
        reservation = None
        allowances = self.allowances(call.principal)
        if allowances:
            try:
                reservation = self.ledger.reserve(allowances, asked.prompt_estimate, asked.cap, metered=asked.streamed)
            except Exhausted as exhausted:
                raise OverLimit(exhausted) from None
        self.enter(call, route, asked, reservation, new_call_id())


class Admission:
    """One call's stay: what it holds of its limits, and its place in the journal."""

    __slots__ = ("addresses", "call_id", "journal", "most", "reservation")

    def __init__(
        self,
        journal: Journal,
        reservation: Reservation | SharedReservation | None,
        addresses: str,
        most: int | None,
        call_id: str,
    ) -> None:
        self.journal = journal
        self.reservation = reservation
        self.addresses = addresses
        self.most = most  # tokens that the answer may have; None for any
        self.call_id = call_id

    @property
    def granted(self) -> float:
        """The tokens of output that may come before more must be asked for."""
        return self.reservation.output if self.reservation is not None else NEVER

    def extend(self) -> bool | Awaitable[bool]:
        """Asks for more; returns whether there was any, or what is to be awaited for that."""
        return self.reservation is None or self.reservation.extend()

    def note_extended(self) -> None:
        """Writes down what is reserved now: if this process dies, no more is charged."""
        if self.reservation is not None:
            self.journal.update(self.call_id, reserved=self.reservation.tokens)

    def note_waiting(self, *, waits: bool) -> None:
        """Writes down that the call waits for its turn, or does so no more: until then nothing is written for it."""
        self.journal.update(self.call_id, waits=waits, asked=time())

    def unheard(self, call: Call) -> int:
        """Returns about how many tokens Ollama has written of an answer in one piece that it did not count.

        As many as came, if it came; else as many as its model writes in the time, if something tells that it wrote at
        all: the model has answered others, and Ollama was not silent until the client got a 504.
        """
        outcome, facts, refusal = call.outcome, call.facts, call.refusal
        assert facts is not None  # noqa: S101 -- only a call with facts is admitted
        seconds = monotonic() - outcome.asked_at
        if outcome.answer_bytes:
            tokens = min(tokens_of(outcome.answer_bytes), int(speeds.rate(facts.canonical) * seconds) + 1)
        elif refusal is not None and refusal.status_code == GATEWAY_TIMEOUT:
            tokens = 0
        else:
            tokens = speeds.written(facts.canonical, facts.prompt_estimate, seconds)
        return tokens if self.most is None else min(tokens, self.most)

    def settle(self, call: Call) -> None:
        """Charges what the call cost, and writes its last line."""
        prompt, written, _, _, reading, writing, estimated, cached = call.outcome.usage
        if written and not estimated and call.facts is not None:
            model = call.facts.canonical
            speeds.note(model, written, writing or 0)
            if reading and prompt:
                speeds.note_prompt(model, prompt - (cached or 0), reading)
        if self.reservation is not None:
            self.reservation.settle((prompt or 0) + (written or 0))
        self.journal.append(ended_line(call, self))
