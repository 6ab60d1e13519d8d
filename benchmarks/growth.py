"""Does the cost grow? The gateway with few keys and with many, with an empty account and with a full one."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from benchmarks import table
from benchmarks.manykeys import fill
from benchmarks.servers import Gateway
from benchmarks.traffic import Traffic, say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.cases import Case
    from benchmarks.cores import Cores
    from benchmarks.started import Server

FEW_KEYS, MANY_KEYS = 10, 100_000
RECORDS = 1_000_000
DAYS = 365


class FewKeys(Gateway):
    """The gateway with ten keys and an empty account: what the others are compared with."""

    keys = FEW_KEYS

    def prepare(self) -> None:
        """Adds the keys."""
        super().prepare()
        fill(self.folder / "db.sqlite3", self.keys - 1)


class ManyKeys(FewKeys):
    """The gateway with a hundred thousand keys."""

    name = "100,000 keys"
    keys = MANY_KEYS


class ManyRecords(FewKeys):
    """The gateway with a year of a million usage records."""

    name = "1,000,000 records"

    def prepare(self) -> None:
        """Makes the year up, which takes a minute."""
        super().prepare()
        say(f"making {RECORDS:,} usage records up …")
        self.run(sys.executable, "-m", "tests.usage.fill", f"--days={DAYS}", f"--records={RECORDS}")


GROWN: dict[str, Callable[[str], Server]] = {made.name: made for made in (FewKeys, ManyKeys, ManyRecords)}
BYTES_NEEDED = 2 * 2**30


def measure(cases: Sequence[Case], pairs: int, seconds: float, cores: Cores) -> str:
    """Measures them in turn and writes the table; raises ServerFailed or TrialFailed."""
    if shutil.disk_usage("/tmp").free < BYTES_NEEDED:  # noqa: S108 -- where servers keep their databases
        return "Not measured: two gigabytes of space for temporary files are needed."
    traffic = Traffic(cases, pairs, seconds, ours=GROWN)
    traffic.measure(GROWN, cores)
    return table.costs(traffic.rows)
