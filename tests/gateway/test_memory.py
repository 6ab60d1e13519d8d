"""What busy moments need of memory is taken at the start."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gateway.env import BASE_DIR

# Two megabytes of objects of all sizes, twice; prints how many pages had to be touched for the first time.
BUSY = """
import resource, sys
from gateway.memory import reserve
kept = reserve() if sys.argv[1] == "reserved" else []
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(2):
    held = [bytes(size) for size in range(15, 470) for _ in range(19)]
    del held
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", BUSY, how], cwd=BASE_DIR, capture_output=True, text=True, check=True, timeout=30
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="others count pages in another way")
def test_a_busy_moment_touches_no_new_memory() -> None:
    assert faults("reserved") * 5 < faults("bare")
