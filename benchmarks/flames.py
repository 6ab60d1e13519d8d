"""A flame graph of the gateway under load, by py-spy in an environment of its own."""

from __future__ import annotations

import subprocess
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks.cores import pinned
from benchmarks.rivals import environments
from benchmarks.servers import Gateway
from benchmarks.started import ServerFailed
from benchmarks.stub_client import StubProcess
from benchmarks.traffic import say
from benchmarks.trial import Loader

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.cases import Case
    from benchmarks.cores import Cores

SECONDS = 10
SAMPLES_A_SECOND = 500
SETTLE_SECONDS = 1


def draw(cases: Sequence[Case], folder: Path, cores: Cores) -> list[Path]:
    """Draws one graph for each case into a folder; raises ServerFailed or TrialFailed."""
    program = environments.python("profile") / "py-spy"
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    with ExitStack() as stack:
        with pinned(cores.load):
            stub = stack.enter_context(StubProcess("--record", "0", "--models", "mistral:latest"))
        loader = stack.enter_context(Loader(stub.pid, cores.load))
        with pinned(cores.server):
            server = Gateway(stub.url)
        stack.callback(server.stop)
        for case in cases:
            say(f"drawing {case.name} …")
            file = folder / f"{''.join(letter if letter.isalnum() else '-' for letter in case.name)}.svg"
            command = ["record", "--pid", str(server.pid), "--output", str(file), "--format", "flamegraph"]
            rates = ["--duration", str(SECONDS), "--rate", str(SAMPLES_A_SECOND)]
            with pinned(cores.load):
                spy = subprocess.Popen(  # noqa: S603 -- installed by us
                    [str(program), *command, *rates],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            time.sleep(SETTLE_SECONDS)
            loader.run(server, case.requests[max(case.requests)], case.connections, SECONDS)
            said, _nothing = spy.communicate()
            if spy.returncode:
                raise ServerFailed(f"py-spy may not look at the gateway here; it said:\n{said}")
            drawn.append(file)
    return drawn
