from __future__ import annotations

import fcntl
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from usage.journal import Journal


def admitted(call: str) -> dict[str, Any]:
    return {"event": "admitted", "call": call, "at": 1.0, "key": "k", "reserved": 7}


def ended(call: str) -> dict[str, Any]:
    return {"event": "ended", "call": call, "at": 2.0, "key": "k", "ended": "done"}


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal(tmp_path / "journal")
    journal.open()
    return journal


def lines(journal: Journal, number: int | None = None) -> list[dict[str, Any]]:
    path = journal.segment if number is None else journal.folder / f"{journal.writer}-{number:06d}.jsonl"
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_a_line_is_on_disk_when_append_returns(journal: Journal) -> None:
    assert journal.append(admitted("a"))
    assert lines(journal) == [admitted("a")]


def test_a_new_segment_begins_with_the_calls_that_are_open(journal: Journal) -> None:
    for call in "abc":
        journal.append(admitted(call))
    journal.append(ended("b"))
    journal.rotate()
    assert lines(journal) == [{**admitted("a"), "again": True}, {**admitted("c"), "again": True}]
    assert len(lines(journal, 1)) == 4


def test_a_segment_is_closed_when_it_is_full(tmp_path: Path) -> None:
    journal = Journal(tmp_path, segment_bytes=200)
    journal.open()
    for number in range(20):
        journal.append(admitted(str(number)))
        journal.append(ended(str(number)))
    assert journal.number > 5
    assert all(path.stat().st_size < 400 for path in tmp_path.glob("*.jsonl"))


def test_while_it_is_full_calls_that_begin_leave_no_line_and_those_that_run_do(journal: Journal) -> None:
    full = True
    journal.is_full = lambda: full
    assert not journal.append(admitted("a"))
    full = False
    journal.append(admitted("b"))
    full = True
    assert journal.append(ended("b"))
    full = False
    assert not journal.append(ended("a"))
    assert lines(journal) == [admitted("b"), ended("b")]
    assert journal.dropped == 2
    assert journal.open_calls == {}


def test_only_the_owner_can_read_it(journal: Journal) -> None:
    assert journal.folder.stat().st_mode & 0o077 == 0
    assert journal.segment.stat().st_mode & 0o077 == 0


def test_the_writers_lock_is_held_while_it_lives_and_free_after(journal: Journal) -> None:
    with (journal.folder / f"{journal.writer}.lock").open() as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        journal.close()
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_what_a_full_disk_does_not_take_is_written_later_and_no_line_is_torn(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(admitted("a"))
    room = 30
    real_write = os.write

    def write(descriptor: int, data: bytes) -> int:
        nonlocal room
        if not room:
            raise OSError(28, "No space left on device")
        taken = real_write(descriptor, bytes(data)[:room])
        room -= taken
        return taken

    monkeypatch.setattr("usage.journal.os.write", write)
    assert not journal.append(ended("a"))
    assert journal.broken
    assert not journal.append(admitted("b"))
    assert not journal.flush()
    monkeypatch.undo()
    assert journal.flush()
    assert not journal.broken
    assert lines(journal) == [admitted("a"), ended("a"), admitted("b")]


WRITE_UNTIL_KILLED = """
import sys
from pathlib import Path
from usage.journal import Journal
journal = Journal(Path(sys.argv[1])); journal.open()
for number in range(10**9):
    journal.append({"event": "ended", "call": str(number)})
    print(number, flush=True)
"""


def test_a_kill_loses_no_line_that_was_written(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_UNTIL_KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(300)]
        process.kill()
        said += process.stdout.readlines()
    told = [int(line) for line in said if line.endswith("\n")]
    kept = [json.loads(line)["call"] for path in tmp_path.glob("*.jsonl") for line in path.read_bytes().splitlines()]
    assert set(map(str, told)) <= set(kept)


def test_a_file_size_limit_is_survived(tmp_path: Path) -> None:
    script = (
        "import resource, signal, sys; from pathlib import Path; from usage.journal import Journal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "journal = Journal(Path(sys.argv[1])); journal.open()\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (500, {resource.RLIM_INFINITY}))\n"
        "took = [journal.append({'event': 'ended', 'call': str(n)}) for n in range(50)]\n"
        "assert took[0] and not took[-1] and journal.broken\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({resource.RLIM_INFINITY}, {resource.RLIM_INFINITY}))\n"
        "assert journal.flush()\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    kept = [json.loads(line)["call"] for path in tmp_path.glob("*.jsonl") for line in path.read_bytes().splitlines()]
    assert kept == [str(number) for number in range(50)]


def test_what_an_open_call_reserves_later_is_written_too(journal: Journal) -> None:
    journal.append(admitted("a"))
    journal.update("a", reserved=300)
    journal.update("unknown", reserved=300)
    extended = {**admitted("a"), "reserved": 300, "again": True}
    assert lines(journal) == [admitted("a"), extended]
    journal.rotate()
    assert lines(journal) == [extended]
    journal.append(ended("a"))
    journal.update("a", reserved=400)
    assert lines(journal) == [extended, ended("a")]


def test_while_the_journal_is_full_what_is_reserved_is_remembered(journal: Journal) -> None:
    journal.append(admitted("a"))
    journal.is_full = lambda: True
    journal.update("a", reserved=300)
    assert lines(journal) == [admitted("a")]
    assert journal.append(ended("a")), "a call that runs has its last line"
    assert journal.dropped == 0
