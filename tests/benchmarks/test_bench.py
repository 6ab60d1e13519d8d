from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from benchmarks import bench, options
from benchmarks import trial as trials
from benchmarks.cases import CASES, FEW, MANY, Case, Request
from benchmarks.child import TrialFailed
from benchmarks.cores import Cores, choose, pinned
from benchmarks.meter import ProcessMeter
from benchmarks.rows import Row
from benchmarks.servers import RIVALS, SERVERS, Bare, Floor
from benchmarks.started import ServerFailed
from benchmarks.table import cost_cells, costs, figure, ways
from benchmarks.trial import Loader, Trial
from tests.benchmarks.raw import exchange, split

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.stub_client import StubProcess

ALONE, SMALL, STREAMS = CASES[0], CASES[1], CASES[2]
ANSWERED = ("seconds", "first_byte_p50", "first_byte_p99", "whole_p50", "whole_p99", "load_cpu")


@pytest.fixture(scope="module")
def floor(stub: StubProcess) -> Iterator[Floor]:
    server = Floor(stub.url)
    yield server
    server.stop()


def test_the_bench_prints_a_row_for_each_server_and_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench.main(["--quick", "--servers", "floor", "--pairs", "1", "--seconds", "0.05", "--output", str(tmp_path)])
    said = capsys.readouterr().out
    assert not (tmp_path / "plot.svg").exists()  # its cases were not measured
    assert (tmp_path / "table.md").read_text() == said
    table = said.partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()][2:]
    quick = [case.name for case in CASES if case.run == "quick"]
    assert [row[:2] for row in rows] == [[name, server] for name in quick for server in ("stub alone", "floor")]
    assert all(float(row[5].partition(" ")[0].replace(",", "")) > 0 for row in rows)
    assert "Medians of 1 interleaved pairs of 0.05 s a trial" in said


@pytest.mark.parametrize(
    ("arguments", "text"), [(["--servers", "nope"], "floor, gateway"), (["--cases", "nope"], "no case has that")]
)
def test_the_bench_says_what_there_is_to_choose(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        options.parse(arguments)
    assert text in capsys.readouterr().err


def test_quick_changes_only_what_is_not_given() -> None:
    quick = options.parse(["--quick", "--pairs", "5"])
    assert (quick.pairs, quick.seconds) == (5, options.QUICK_SECONDS)
    assert options.parse([]).pairs == 9


def test_the_quick_run_needs_no_rival_and_the_usual_one_has_all() -> None:
    assert options.parse(["--quick"]).servers == ["floor", "gateway"]
    assert options.parse([]).servers == list(SERVERS)
    assert set(RIVALS) < set(SERVERS)


def test_parts_can_be_chosen() -> None:
    assert options.parse([]).parts == list(options.USUAL)
    assert options.parse(["--quick"]).parts == options.parse(["--cases", "1 MB"]).parts == ["requests"]
    assert options.parse(["--full"]).parts == list(options.PARTS)
    assert options.parse(["--parts", "growth,streams"]).parts == ["growth", "streams"]
    with pytest.raises(SystemExit):
        options.parse(["--parts", "nope"])


def test_each_run_has_the_cases_of_the_smaller_ones() -> None:
    quick, usual, full = (options.parse(arguments).cases for arguments in (["--quick"], [], ["--full"]))
    assert {case.name for case in quick} < {case.name for case in usual} < {case.name for case in full}
    assert full == list(CASES)
    assert len({case.name for case in CASES}) == len(CASES)
    assert [case.name for case in options.parse(["--cases", "1 MB"]).cases] == [
        case.name for case in CASES if "1 MB" in case.name
    ]


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
    return Trial(1000, 0.001 * cpu, 0.002 * cpu, 0.003 * cpu, 0.004 * cpu, cpu=cpu, megabytes=50, other_core=0.5)


def test_a_chunk_s_cost_is_the_slope_from_few_to_many() -> None:
    base, row = Row(STREAMS, "floor"), Row(STREAMS, "gateway")
    for few, many in ((100, 600), (110, 610), (90, 590)):
        base.pairs.append({FEW: trial(few), MANY: trial(many)})
        row.pairs.append({FEW: trial(2 * few), MANY: trial(2 * few + 1.2 * (many - few))})
    assert row.chunk_costs == pytest.approx([6, 6, 6])
    shown = cost_cells(row, [base, row])
    assert shown[6:9] == ["6.0 (6.0–6.0 at 75%)", "1.20 (1.20–1.20 at 75%)", "–"]
    assert cost_cells(base, [base, row])[7] == "–"


def test_ratios_are_taken_within_a_pair() -> None:
    base, row = Row(SMALL, "floor"), Row(SMALL, "gateway")
    for noise in (1, 10, 2, 5, 1, 3, 1):
        base.pairs.append({0: trial(100 * noise)})
        row.pairs.append({0: trial(300 * noise)})
    assert cost_cells(row, [base, row])[7] == "3.00 (3.00–3.00)"
    assert cost_cells(base, [base, row])[8] == "0.33 (0.33–0.33)"
    table = costs([base, row]).splitlines()
    assert len(table) == 4
    assert len({line.count("|") for line in table}) == 1


def test_what_the_way_adds_is_told_against_the_stub_in_the_same_pair() -> None:
    bare, row, other = Row(ALONE, "stub alone"), Row(ALONE, "gateway"), Row(SMALL, "gateway")
    for noise in (1, 5, 2, 1, 3, 1):
        bare.pairs.append({0: trial(noise)})
        row.pairs.append({0: trial(noise + 1)})
        other.pairs.append({0: trial(noise)})
    (line,) = ways([bare, row, other]).splitlines()[2:]
    shown = [cell.strip() for cell in line.strip("|").split("|")]
    assert shown[:3] == [ALONE.name, "gateway", "1.00 (1.00–1.00)"]
    assert shown[5] == "4.00 (4.00–4.00)"
    assert ways([other]) == ""


def test_a_figure_says_how_sure_it_is() -> None:
    assert figure([1000, 2000, 3000], 0, " %") == "2,000 % (1,000–3,000 at 75%)"
    assert figure(range(9), 1) == "4.0 (1.0–7.0)"


def test_what_a_server_does_behind_its_answers_is_counted_but_for_its_rest(
    stub: StubProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "START_SECONDS", 0.0)
    server, used = Bare(stub.url, stub.pid), iter([0.0, 0.4, 1.0, 3.1])
    server.afterwork = 0.01
    loader = Loader.__new__(Loader)
    loader.stub, loader.rests = trials.ProcessMeter(os.getpid()), {}
    monkeypatch.setattr(trials.ProcessMeter, "cpu_seconds", lambda meter: next(used) if meter is not loader.stub else 0)
    answers = iter(["ready", dict.fromkeys(ANSWERED, 1.0) | {"requests": 2}])
    monkeypatch.setattr(loader, "ask", lambda *_asked: next(answers))
    found = loader.run(server, SMALL.requests[0], 1, 1.0)
    assert found.cpu == pytest.approx((3.1 - 1.0 - 0.4 / trials.RESTS) / 2 * 1e6)
