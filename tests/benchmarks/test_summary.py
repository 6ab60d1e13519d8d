"""The short table: made of the rows, and shown in the README as it was made."""

from __future__ import annotations

import re

import pytest

from benchmarks.cases import CASES
from benchmarks.rows import Row
from benchmarks.servers import SERVERS
from benchmarks.summary import COLUMNS, NAMES, summary
from benchmarks.trial import Trial
from tests.harness import BASE_DIR

README = (BASE_DIR / "README.md").read_text()
TABLE = (BASE_DIR / "benchmarks" / "table.md").read_text()
MEASURED = {column.case for column in COLUMNS}


def rows(*servers: str) -> list[Row]:
    """Rows of servers that cost more the later they come."""
    made = []
    for case in (case for case in CASES if case.name in MEASURED):
        for number, server in enumerate(("stub alone", *servers)):
            trial = Trial(1000, number * 1e-3, 0.0, 0.0, 0.0, cpu=1000.0 * number, megabytes=50, other_core=0.5)
            few = Trial(1000, 0.0, 0.0, 0.0, 0.0, cpu=0.0, megabytes=50, other_core=0.5)
            sizes = sorted(case.requests)
            made.append(Row(case, server, [dict.fromkeys(sizes, few) | {sizes[-1]: trial}]))
    return made


def test_a_line_for_each_server_shows_what_it_costs_and_adds() -> None:
    lines = summary(rows("floor", "gateway")).splitlines()
    assert lines[2] == "| bare ASGI and aiohttp: the floor | 1,000 | 10.0 | +1.00 ms | +1.0 ms |"
    assert lines[3] == "| **this gateway** | **2,000** | **20.0** | **+2.00 ms** | **+2.0 ms** |"
    assert len(lines) == 4


def test_without_one_of_its_cases_there_is_none() -> None:
    assert summary([row for row in rows("floor", "gateway") if "1 MB" not in row.case.name]) == ""


def test_every_server_has_a_name_in_it() -> None:
    assert list(NAMES) == list(SERVERS)


def test_the_readme_shows_the_table_as_it_was_made() -> None:
    shown = re.findall(r"^\| OpenAI chat \|.*?(?=\n\n)", README, re.MULTILINE | re.DOTALL)
    assert len(shown) == 1
    assert TABLE.startswith(shown[0] + "\n\n")


def test_the_readme_says_of_streams_what_was_measured() -> None:
    said = re.search(r"A thousand streams of ten events a second take (\d+) % of that core and (\d+) KB each", README)
    assert said
    measured = re.search(r"^\| 1,000 \| 10 \| 0 of 9 \|.*\| (\d+) % \(.*\) \| (\d+) \(", TABLE, re.MULTILINE)
    assert measured
    assert said.groups() == measured.groups()


@pytest.mark.parametrize("server", ["ollaguard", "Portkey", "LiteLLM"])
def test_the_bench_s_page_names_the_versions_that_are_measured(server: str) -> None:
    version = NAMES[server].split()[-1] if server != "LiteLLM" else NAMES[server].split()[2].rstrip(",")
    assert version in (BASE_DIR / "benchmarks" / "README.md").read_text()
