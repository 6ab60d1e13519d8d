"""Lets a permitted call in: what it may cost is reserved before Ollama is asked, and settled when it has ended."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from proxy.caps import cap_of, set_cap
from proxy.exceptions import JournalFull, OverLimit
from proxy.lines import admitted_line, ended_line
from usage.ledger import Exhausted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from apikeys.principal import Principal
    from proxy.call import Call
    from proxy.policy import Ask
    from proxy.routes import Route
    from usage.journal import Journal
    from usage.ledger import Allowance, Ledger, Reservation

NEVER = math.inf


class Door:
    """Where calls are let in: past the limits, and into the journal."""

    def __init__(
        self,
        ledger: Ledger,
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

    def admit(self, call: Call, route: Route, asked: Ask) -> None:
        """Reserves and notes; lowers the answer's cap to what is left.  Raises OverLimit and JournalFull."""
        assert call.principal is not None  # noqa: S101 -- the view has authenticated it
        if (self.journal.broken and not self.journal.flush() and self.must_account) or self.is_full():
            raise JournalFull
        reservation = None
        allowances = self.allowances(call.principal)
        if allowances:
            cap = cap_of(asked.payload, route.shape.cap) if route.shape.cap else 0
            try:
                reservation = self.ledger.reserve(allowances, asked.prompt_estimate, cap, metered=asked.streamed)
            except Exhausted as exhausted:
                raise OverLimit(exhausted) from None
            if route.shape.cap and reservation.cap is not None and reservation.cap != cap:
                asked.changed.append(set_cap(asked.payload, route.shape.cap, reservation.cap))
        call.admission = Admission(self.journal, reservation, self.addresses)
        self.journal.append(admitted_line(call, call.admission))


class Admission:
    """One call's stay: what it holds of its limits, and its place in the journal."""

    __slots__ = ("addresses", "call_id", "journal", "reservation")

    def __init__(self, journal: Journal, reservation: Reservation | None, addresses: str) -> None:
        self.journal = journal
        self.reservation = reservation
        self.addresses = addresses
        self.call_id = f"{random.getrandbits(96):024x}"

    @property
    def granted(self) -> float:
        """The tokens of output that may come before more must be asked for."""
        return self.reservation.output if self.reservation is not None else NEVER

    def extend(self) -> bool:
        """Asks for more; returns whether there was any."""
        return self.reservation is None or self.reservation.extend()

    def settle(self, call: Call) -> None:
        """Charges what the call cost, and writes its last line."""
        usage = call.outcome.usage
        if self.reservation is not None:
            self.reservation.settle((usage.prompt_tokens or 0) + (usage.completion_tokens or 0))
        self.journal.append(ended_line(call, self))
