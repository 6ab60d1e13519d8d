"""What Prometheus' own clients say of their process, under the names that dashboards look for, and which build it is.

Numbers that a system does not tell (those of /proc) are left out there.
"""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc/self")
STARTED = time.time()
PAGE = os.sysconf("SC_PAGE_SIZE")


class Sample(NamedTuple):
    """A metric of the process."""

    name: str
    meaning: str
    kind: str
    value: float


def process_samples() -> Iterator[Sample]:
    """Returns what is known of this process now."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    yield Sample(
        "process_cpu_seconds_total",
        "CPU time that the process used, in seconds",
        "counter",
        round(used.ru_utime + used.ru_stime, 6),
    )
    yield Sample("process_start_time_seconds", "When the process started, since the epoch", "gauge", STARTED)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY:
        yield Sample("process_max_fds", "Files that the process may have open", "gauge", soft)
    try:
        size, resident, *_ = (PROC / "statm").read_text().split()
        files = sum(1 for _ in (PROC / "fd").iterdir()) - 1  # less the one that lists them
        threads = sum(1 for _ in (PROC / "task").iterdir())
    except (OSError, ValueError):
        return
    yield Sample("process_virtual_memory_bytes", "Size of its address space", "gauge", int(size) * PAGE)
    yield Sample("process_resident_memory_bytes", "Memory that it occupies", "gauge", int(resident) * PAGE)
    yield Sample("process_open_fds", "Files that it has open, connections included", "gauge", files)
    yield Sample("process_threads", "Its threads", "gauge", threads)


def build_labels(version: str) -> dict[str, str]:
    """Returns which build this is."""
    return {"version": version, "python": platform.python_version()}
