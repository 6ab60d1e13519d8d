from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from benchmarks import bench
from benchmarks.cases import CASES, FEW, MANY, Case, Request
from benchmarks.cores import Cores, choose, pinned
from benchmarks.meter import ProcessMeter
from benchmarks.servers import Bare, Floor, ServerFailed
from benchmarks.table import Row, cells, markdown
from benchmarks.trial import Loader, Trial, TrialFailed
from tests.benchmarks.raw import exchange, split

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.stub_client import StubProcess

SMALL, STREAMS = CASES[1], CASES[2]


@pytest.fixture(scope="module")
def floor(stub: StubProcess) -> Iterator[Floor]:
    server = Floor(stub.url)
    yield server
    server.stop()


def test_the_bench_prints_a_row_for_each_server_and_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "table.md"
    bench.main(["--servers", "floor", "--pairs", "1", "--seconds", "0.05", "--output", str(file)])
    said = capsys.readouterr().out
    assert file.read_text() == said
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in said.splitlines() if line[:1] == "|"][2:]
    assert [row[:2] for row in rows] == [[case.name, server] for case in CASES for server in ("stub alone", "floor")]
    assert all(float(row[5].replace(",", "")) > 0 for row in rows)
    assert "Medians of 1 interleaved pairs of 0.05 s a trial" in said


@pytest.mark.parametrize(
    ("arguments", "text"), [(["--servers", "nope"], "floor, gateway"), (["--cases", "nope"], "no case has that")]
)
def test_the_bench_says_what_there_is_to_choose(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        bench.parse(arguments)
    assert text in capsys.readouterr().err


def test_quick_changes_only_what_is_not_given() -> None:
    quick = bench.parse(["--quick", "--pairs", "5"])
    assert (quick.pairs, quick.seconds) == (5, bench.QUICK_SECONDS)
    assert bench.parse([]).pairs == 9


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_floor_passes_bytes_straight(stub: StubProcess, floor: Floor, case: Case) -> None:
    for request in case.requests.values():
        through = split(exchange(floor.url, floor.path(request.endpoint), request.body))[1]
        direct = split(exchange(stub.url, Bare("", 0).path(request.endpoint), request.body))[1]
        assert through == direct
        assert direct.count(request.mark) == request.marks


def test_a_trial_measures_a_server(stub: StubProcess, floor: Floor) -> None:
    with Loader(stub.pid, None) as loader:
        trial = loader.run(floor, SMALL.requests[0], 2, 0.1)
    assert trial.rate > 10
    assert 0 < trial.first_byte_p50 <= trial.first_byte_p99
    assert trial.cpu > 10
    assert trial.megabytes > 10
    assert trial.other_core > 0


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (Request("generate", b'{"model":"missing","prompt":"a"}', b"x", 1, 0), "404 Not Found"),
        (Request("generate", b'{"model":"m","prompt":"a b"}', b'"done":false', 3, 0), "is there 2 times instead of 3"),
        (Request("generate", b'{"model":"m","prompt":"[[die_after=0]]"}', b"x", 1, 0), "the connection was closed"),
    ],
)
def test_a_wrong_answer_stops_the_trial(stub: StubProcess, request_: Request, text: str) -> None:
    with Loader(stub.pid, None) as loader, pytest.raises(TrialFailed, match=text):
        loader.run(Bare(stub.url, stub.pid), request_, 1, 0.1)


def test_a_server_that_does_not_start_shows_what_it_said(stub: StubProcess) -> None:
    class Broken(Floor):
        name = "broken"

        def command(self) -> list[str]:
            return [sys.executable, "-c", "raise SystemExit('no such luck')"]

    with pytest.raises(ServerFailed, match="no such luck"):
        Broken(stub.url)


def test_the_meter_counts_children_too() -> None:
    burn = "import time\nwhile time.process_time() < 0.2: pass\nprint('done', flush=True)\ninput()"
    both = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", both], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "done\n"
        meter = ProcessMeter(process.pid)
        assert meter.cpu_seconds() >= 0.2
        assert meter.megabytes() > 5
        process.communicate("\n")


@pytest.mark.skipif(choose().server is None, reason="nothing can be pinned here")
def test_pinned_processes_get_one_core_and_we_keep_ours() -> None:
    before = os.sched_getaffinity(0)
    with pinned(max(before)):
        process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True)
    assert os.sched_getaffinity(0) == before
    assert psutil.Process(process.pid).cpu_affinity() == [max(before)]
    process.communicate("\n")


def test_where_nothing_can_be_pinned_it_is_said() -> None:
    assert Cores(None, None).describe().startswith("nothing is pinned")
    with pinned(None):
        pass


def trial(cpu: float) -> Trial:
    return Trial(rate=1000, first_byte_p50=0.001, first_byte_p99=0.002, cpu=cpu, megabytes=50, other_core=0.5)


def test_a_chunk_s_cost_is_the_slope_from_few_to_many() -> None:
    base, row = Row(STREAMS, "floor"), Row(STREAMS, "gateway")
    for few, many in ((100, 600), (110, 610), (90, 590)):
        base.pairs.append({FEW: trial(few), MANY: trial(many)})
        row.pairs.append({FEW: trial(2 * few), MANY: trial(2 * few + 1.2 * (many - few))})
    assert row.chunk_costs == pytest.approx([6, 6, 6])
    shown = cells(row, base)
    assert (shown[6], shown[7]) == ("6.0", "1.20 (1.20–1.20 at 75%)")
    assert cells(base, base)[7] == "–"


def test_ratios_are_taken_within_a_pair() -> None:
    base, row = Row(SMALL, "floor"), Row(SMALL, "gateway")
    for noise in (1, 10, 2, 5, 1, 3, 1):
        base.pairs.append({0: trial(100 * noise)})
        row.pairs.append({0: trial(300 * noise)})
    assert cells(row, base)[7] == "3.00 (3.00–3.00)"
    table = markdown([base, row]).splitlines()
    assert len(table) == 4
    assert len({line.count("|") for line in table}) == 1
