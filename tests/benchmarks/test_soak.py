from __future__ import annotations

import random
import time
from itertools import accumulate
from typing import TYPE_CHECKING

import pytest

from benchmarks.cases import CASES
from benchmarks.child import Child
from benchmarks.growth import GROWN
from benchmarks.manykeys import fill
from benchmarks.servers import Bare
from benchmarks.slope import slope
from benchmarks.soak import closing, report, requests

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.stub_client import StubProcess


def test_noise_is_no_rise_and_a_rise_is_no_noise() -> None:
    chance = random.Random(1)  # noqa: S311 -- it makes noise
    times = [minute / 30 for minute in range(600)]
    level = [100 + chance.gauss(0, 1) for _ in times]
    assert slope(times, level).is_flat
    rising = slope(times, [value + 0.5 * at for value, at in zip(level, times, strict=True)])
    assert not rising.is_flat
    assert rising.rise == pytest.approx(0.5, abs=2 * rising.noise)


def test_a_leak_is_seen_among_pages_that_are_touched_now_and_then() -> None:
    chance = random.Random(1)  # noqa: S311 -- it makes noise
    times = [minute / 30 for minute in range(900)]
    seldom = list(accumulate(4.0 if chance.random() < 0.005 else 0.0 for _ in times))
    few = [1000.0 + 4 * (at > 7) + 4 * (at > 22) for at in times]
    assert slope(times, few).is_flat
    leak = slope(times, [size + 2 * at for size, at in zip(seldom, times, strict=True)])
    assert not leak.is_flat


def test_a_slope_needs_enough_values() -> None:
    with pytest.raises(ValueError, match="at least 20"):
        slope([1.0], [1.0])


def test_a_soak_ends_requests_in_every_way(stub: StubProcess) -> None:
    server = Bare(stub.url, stub.pid)
    job = {
        "url": stub.url,
        "requests": {name: closing(server, request) for name, request in requests().items()},
        "connections": 8,
        "pause": 0.001,
    }
    with Child("benchmarks.soaking", None) as child:
        assert child.ask(job, "stub") == "ready"
        deadline = time.monotonic() + 20
        seen: dict[str, int] = {}
        while len({name.partition(":")[0] for name in seen}) < len(requests()):
            assert time.monotonic() < deadline, seen
            time.sleep(0.05)
            seen = child.ask("seen", "stub")
    assert {"done: 200", "streamed: 200", "left: 200", "failed before: 500", "not there: 404"} <= set(seen)
    assert stub.cancelled()


def test_the_report_tells_the_slope_with_its_noise() -> None:
    times = [number / 30 for number in range(300)]
    text = report(times, [100.0 + (number % 3) for number in range(300)], {"done: 200": 1234})
    assert "| 10 | 1,234 | 101.0 | 101.0 | " in text
    assert text.splitlines()[2].endswith("| yes |")


def test_what_has_grown_is_compared_with_what_has_not() -> None:
    assert list(GROWN) == ["gateway", "100,000 keys", "1,000,000 records"]
    assert [case.run for case in CASES[:3]] == ["quick"] * 3


def test_very_many_keys_are_copies_of_the_one_that_is_there(tmp_path: Path) -> None:
    import sqlite3

    file = tmp_path / "db.sqlite3"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE apikeys_key (id, key_id, label, team, models, digest, note)")
        database.execute("INSERT INTO apikeys_key VALUES (1, 'a', 'b', 'c', '', 'd', 'kept')")
    database.close()
    fill(file, 100)
    with sqlite3.connect(file) as database:
        rows = database.execute("SELECT count(*), count(DISTINCT key_id), count(DISTINCT team) FROM apikeys_key")
        assert rows.fetchone() == (101, 101, 51)
        assert database.execute("SELECT DISTINCT note FROM apikeys_key").fetchall() == [("kept",)]
    database.close()
