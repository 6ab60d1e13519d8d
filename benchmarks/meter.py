"""What a process costs: CPU time of all its threads and children, and memory."""

from __future__ import annotations

import sys
import time

import psutil

CPU_CLOCK_OF_PROCESS = 2  # Linux numbers the clock of process p as ~p * 8 + 2
MEGABYTE = 2**20


class ProcessMeter:
    """The cost of one process and its children."""

    def __init__(self, pid: int) -> None:
        self.process = psutil.Process(pid)

    def cpu_seconds(self) -> float:
        """Returns the CPU time used so far; in nanosecond steps on Linux, in the system's own elsewhere."""
        return sum(_cpu_seconds(process) for process in self._family())

    def megabytes(self) -> float:
        """Returns the resident memory now."""
        return sum(process.memory_info().rss for process in self._family()) / MEGABYTE

    def _family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


def _cpu_seconds(process: psutil.Process) -> float:
    if sys.platform == "linux":
        return time.clock_gettime(~process.pid << 3 | CPU_CLOCK_OF_PROCESS)
    times = process.cpu_times()
    return float(times.user + times.system)
