"""Takes the trials of all cases: servers in turn, pair by pair."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks.child import TrialFailed
from benchmarks.cores import pinned
from benchmarks.rows import STUB, Row
from benchmarks.servers import OURS, Bare
from benchmarks.started import ServerFailed
from benchmarks.stub_client import StubProcess
from benchmarks.trial import Loader

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from benchmarks.cases import Case
    from benchmarks.cores import Cores
    from benchmarks.started import Server


# A rival's trial that fails is taken anew so many times: one failure in hundreds of answers should not hide its cost.
AGAIN = 2


class Traffic:
    """The servers that are measured, the cases, and what was seen; `notes` says what could not be had."""

    def __init__(self, cases: Sequence[Case], pairs: int, seconds: float, ours: Collection[str] = OURS) -> None:
        self.cases = cases
        self.pairs = pairs
        self.seconds = seconds
        self.ours = {*ours, STUB}
        self.rows: list[Row] = []
        self.notes: list[str] = []

    def measure(self, made: Mapping[str, Callable[[str], Server]], cores: Cores) -> None:
        """Starts everything and takes all trials; raises ServerFailed or TrialFailed where one of ours is at fault."""
        with ExitStack() as stack:
            with pinned(cores.load):
                stub = stack.enter_context(StubProcess("--record", "0", "--models", "mistral:latest"))
            loader = stack.enter_context(Loader(stub.pid, cores.load))
            servers: list[Server] = [Bare(stub.url, stub.pid)]
            for name in made:
                say(f"starting {name} …")
                if server := self._start(name, made[name], stub.url, cores):
                    servers.append(server)
                    stack.callback(server.stop)
            rows = [(Row(case, server.name), server) for case in self.cases for server in servers]
            for number in range(self.pairs):
                for case in self.cases:
                    say(f"pair {number + 1} of {self.pairs}: {case.name}")
                    these = [pair for pair in rows if pair[0].case is case]
                    # Every other pair goes the other way round, so that drift favours nobody.
                    for row, server in these if number % 2 == 0 else reversed(these):
                        self.attempt(row, server, loader)
            self.rows = [row for row, _server in rows if len(row.pairs) == self.pairs]
        for row, _server in rows:
            self.say_failure(row)

    def _start(self, name: str, make: Callable[[str], Server], upstream: str, cores: Cores) -> Server | None:
        try:
            with pinned(cores.server):
                return make(upstream)
        except ServerFailed as error:
            if name in self.ours:
                raise
            self.note(f"{name} was not measured: {error}")
            return None

    def attempt(self, row: Row, server: Server, loader: Loader) -> None:
        """Adds a pair to a row; a rival that fails again and again in a case has no row there.

        Raises TrialFailed where one of ours is at fault.
        """
        if server.path(row.case.endpoint) is None or row.given_up:
            return
        for _attempt in range(1 + AGAIN):
            try:
                trials = {
                    chunks: loader.run(server, request, row.case.connections, self.seconds)
                    for chunks, request in row.case.requests.items()
                }
            except TrialFailed as error:
                if server.name in self.ours:
                    raise
                row.failures.append(str(error))
            else:
                row.pairs.append(trials)
                return
        row.given_up = True

    def say_failure(self, row: Row) -> None:
        """Notes how often a rival failed in a case, and how."""
        if row.failures:
            times = "once" if len(row.failures) == 1 else f"{len(row.failures)} times"
            end = " and was given up" if row.given_up else ""
            self.note(f"{row.server} failed {times} in “{row.case.name}”{end}, first so: {row.failures[0]}")

    def note(self, text: str) -> None:
        """Keeps what has to be said below the tables, once."""
        text = text.strip().replace("\n", " ")[:400]
        if text not in self.notes:
            say(text)
            self.notes.append(text)


def say(line: str) -> None:
    """Tells whoever waits what is happening, beside the table."""
    sys.stderr.write(f"{line}\n")
