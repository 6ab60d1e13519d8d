"""The part of the bench that holds streams: the largest number without a stall, and what the promised numbers cost."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.child import TrialFailed
from benchmarks.cores import pinned
from benchmarks.rows import STUB
from benchmarks.servers import Bare, Gateway
from benchmarks.stalls import Climb, Held, Holder, most
from benchmarks.started import ServerFailed
from benchmarks.stub_client import StubProcess
from benchmarks.table import NOTHING, figure, markdown
from benchmarks.traffic import say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.cores import Cores
    from benchmarks.started import Server

RATES = (10, 50)  # events a second
PROMISED = ((1000, 10), (250, 50))
LARGEST = ("server", *(f"streams at {rate} events/s" for rate in RATES), "its core busy", "load core busy", "worst ms")
COSTS = ("streams", "events/s each", "late trials", "worst event ms", "p99 ms", "its core busy", "memory KB a stream")


@dataclass(slots=True)
class Holding:
    """What was seen: the largest numbers by server and rate, and the trials of the promised numbers."""

    largest: dict[str, list[Held | None]] = field(default_factory=dict)
    promised: dict[tuple[int, int], list[Held]] = field(default_factory=dict)

    def search(self, made: Mapping[str, Callable[[str], Server]], cores: Cores) -> None:
        """Finds the largest numbers of the stub alone and of each server that speaks OpenAI's dialect."""
        with ExitStack() as stack:
            stub, holder = _stub_and_holder(stack, cores)

            def start(make: Callable[[str], Server]) -> Server:
                with pinned(cores.server):
                    return make(stub.url)

            makes: dict[str, Callable[[], Server]] = {STUB: lambda: Bare(stub.url, stub.pid)}
            makes |= {name: partial(start, make) for name, make in made.items()}
            for name, make in makes.items():
                say(f"how many streams does {name} hold? …")
                found = []
                try:
                    for rate in RATES:
                        with Climb(holder, make, rate) as climb:
                            found.append(most(climb.hold))
                except (ServerFailed, TrialFailed) as error:
                    say(str(error))  # the table of requests says it too
                else:
                    self.largest[name] = found

    def keep_promises(self, pairs: int, cores: Cores) -> None:
        """Holds the promised numbers, each time with a gateway that is new, so that its memory is too."""
        with ExitStack() as stack:
            stub, holder = _stub_and_holder(stack, cores)
            for number in range(pairs):
                say(f"round {number + 1} of {pairs}: {' and '.join(f'{n} streams at {r}/s' for n, r in PROMISED)}")
                for streams, rate in PROMISED:
                    with pinned(cores.server):
                        server = Gateway(stub.url)
                    try:
                        holder.begin(server, rate)
                        self.promised.setdefault((streams, rate), []).append(holder.hold(streams))
                    finally:
                        server.stop()

    def markdown(self) -> str:
        """Writes both tables, as far as there is something to tell."""
        tables = []
        if self.largest:
            tables.append(markdown(LARGEST, [largest_cells(*item) for item in self.largest.items()], words=1))
        if self.promised:
            lines = [promised_cells(*numbers, trials) for numbers, trials in self.promised.items()]
            tables.append(markdown(COSTS, lines, words=0))
        return "\n\n".join(tables)


def _stub_and_holder(stack: ExitStack, cores: Cores) -> tuple[StubProcess, Holder]:
    with pinned(cores.load):
        stub = stack.enter_context(StubProcess("--record", "0", "--models", "mistral:latest"))
    return stub, stack.enter_context(Holder(stub.pid, cores.load))


def largest_cells(server: str, found: Sequence[Held | None]) -> list[str]:
    """Writes a server's largest numbers, and how busy the cores were then."""
    numbers = [f"{held.streams:,}" if held else "not one" for held in found]
    there = [held for held in found if held]
    if not there:
        return [server, *numbers, *[NOTHING] * 3]
    own, other = (" / ".join(f"{getattr(held, name):.0%}" for held in there) for name in ("cpu", "other_core"))
    return [server, *numbers, own, other, " / ".join(f"{1e3 * held.worst:.0f}" for held in there)]


def promised_cells(streams: int, rate: int, trials: Sequence[Held]) -> list[str]:
    """Writes what a promised number of streams cost."""
    return [
        f"{streams:,}",
        str(rate),
        f"{sum(held.stalls for held in trials)} of {len(trials)}",
        figure([1e3 * held.worst for held in trials], 1),
        figure([1e3 * held.p99 for held in trials], 1),
        figure([100 * held.cpu for held in trials], 0, " %"),
        figure([held.kilobytes for held in trials], 0),
    ]
