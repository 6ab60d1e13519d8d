"""The journal comes into the database: each line once, whatever dies when."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import OperationalError
from django.db.models import Sum
from hypothesis import example, given
from hypothesis import strategies as st

from tests.usage.journals import NOON, Writer, admitted, ended, written
from usage import applying, replay
from usage.lines import Record
from usage.models import AppliedSegment, UsageDay, UsageHour, UsageMonth, UsageRecord
from usage.replay import Replay

pytestmark = pytest.mark.django_db(transaction=True)


class Died(BaseException):
    """A process that is killed at this place."""


def call(number: int) -> str:
    return f"{number:024x}"


def stored() -> list[str]:
    """The calls that are recorded, in the order of their storing; their sums must agree."""
    calls = list(UsageRecord.objects.order_by("pk").values_list("call", flat=True))
    for table in (UsageHour, UsageDay, UsageMonth):
        for rows in (table.objects.filter(key=""), table.objects.exclude(key="")):
            assert (rows.aggregate(all=Sum("requests"))["all"] or 0) == len(calls)
    return calls


def test_what_a_living_writer_has_written_is_applied_as_it_comes(writer: Writer) -> None:
    bring = Replay(writer.folder)
    writer.write(admitted(call(1)), ended(call(1)))
    bring.run(writer.name)
    assert stored() == [call(1)]
    bring.run(writer.name)
    writer.write(ended(call(2)))
    bring.run(writer.name)
    bring.run(writer.name)
    assert stored() == [call(1), call(2)]
    assert writer.segment.name in writer.files()


@given(st.floats(0, 32_503_680_000) | st.integers(0, 32_503_680_000).map(float))
@example(1795763774.6189766)
@example(1795763774.9999999)
def test_a_time_is_written_as_django_writes_it(at: float) -> None:
    assert applying.moment(at) == str(datetime.fromtimestamp(at, UTC).replace(tzinfo=None))


def test_everything_that_is_said_of_a_call_is_stored(writer: Writer) -> None:
    given = {"owner": 7, "team": "lab", "client": "192.0.2.0", "cached_tokens": 4}
    given |= {"error": "upstream_failed", "reason": "It broke off.", "user_agent": "curl/8.5.0"}
    writer.write(ended(**given))
    Replay(writer.folder).run(writer.name)
    row = UsageRecord.objects.get()
    said = ended(**given)
    assert row.at.timestamp() == NOON
    for name in {field.name for field in UsageRecord._meta.get_fields()} - {"id", "at"}:
        assert getattr(row, name) == said[name], name
    day = UsageDay.objects.get(key="key1")
    assert (day.owner, day.team, day.model, day.route) == (7, "lab", "mistral", "POST /api/chat")
    assert (day.prompt_tokens, day.completion_tokens, day.gpu_nanoseconds) == (10, 20, 600)
    assert (day.first_byte_microseconds, day.first_byte_1, day.total_microseconds, day.total_2) == (
        250_000,
        1,
        2_000_000,
        1,
    )


def test_half_a_line_waits_for_its_rest(writer: Writer) -> None:
    bring = Replay(writer.folder)
    line = written([ended(call(1))])
    writer.write_bytes(line[:50])
    bring.run(writer.name)
    assert stored() == []
    writer.write_bytes(line[50:])
    bring.run(writer.name)
    assert stored() == [call(1)]


def test_a_segment_goes_once_it_is_applied_and_its_successor_has_begun(writer: Writer) -> None:
    bring = Replay(writer.folder)
    first = writer.segment.name
    writer.write(admitted(call(1)), ended(call(2)))
    writer.number += 1
    writer.segment.touch()
    bring.run(writer.name)
    assert first in writer.files(), "the successor does not name the open calls yet"
    writer.write({**admitted(call(1)), "again": True})
    bring.run(writer.name)
    assert first not in writer.files()
    assert list(AppliedSegment.objects.values_list("segment", flat=True)) == [writer.segment.name]
    writer.write(ended(call(1)))
    bring.run(writer.name)
    assert stored() == [call(2), call(1)]


def test_another_living_writer_is_left_alone(writer: Writer) -> None:
    writer.write(ended(call(1)))
    Replay(writer.folder).run("")
    assert stored() == []
    assert len(writer.files()) == 2


def test_a_dead_writers_calls_are_recorded_and_its_files_deleted(writer: Writer) -> None:
    writer.write(admitted(call(1)), admitted(call(2)), admitted(call(3)), ended(call(1)))
    writer.rotate(admitted(call(2)), admitted(call(3)))
    writer.write(ended(call(3)))
    writer.write_bytes(written([ended(call(2))])[:-30])
    writer.die()
    Replay(writer.folder).run("")
    assert stored() == [call(1), call(3), call(2)]
    lost = UsageRecord.objects.get(call=call(2))
    assert (lost.ended, lost.prompt_tokens, lost.completion_tokens, lost.estimated) == ("lost", 10, 100, True)
    assert UsageDay.objects.get(key="key1").lost == 1
    assert writer.files() == []
    assert not AppliedSegment.objects.exists()


def test_open_calls_are_found_in_what_was_applied_long_ago(writer: Writer) -> None:
    writer.write(admitted(call(1)), admitted(call(2)), ended(call(2)))
    Replay(writer.folder).run(writer.name)
    writer.die()
    Replay(writer.folder).run("")
    assert stored() == [call(2), call(1)]


def test_a_broken_line_is_left_out_and_said(writer: Writer, caplog: pytest.LogCaptureFixture) -> None:
    writer.write_bytes(b"garbage\n" + written([ended(call(1))]))
    Replay(writer.folder).run(writer.name)
    assert stored() == [call(1)]
    assert [record.message for record in caplog.records] == [
        f"A line of the journal in {writer.segment.name} can't be read; it is left out."
    ]


def test_a_last_line_that_lacks_nothing_but_its_end_is_none(writer: Writer) -> None:
    writer.write(admitted(call(1)))
    writer.write_bytes(written([ended(call(1))]).removesuffix(b"\n"))
    writer.die()
    Replay(writer.folder).run("")
    assert UsageRecord.objects.get().ended == "lost"
    assert writer.files() == []


def test_many_lines_are_many_transactions(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    monkeypatch.setattr(applying, "store", lambda records: taken.append(len(list(records))))
    monkeypatch.setattr(replay, "BATCH", 10 * len(written([ended(call(0))])))
    writer.write(*(ended(call(number)) for number in range(21)))
    Replay(writer.folder).run(writer.name)
    assert taken == [10, 10, 1]


def test_a_transaction_holds_few_records_in_memory_at_once(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    keep = applying.keep

    def noting(records: Sequence[Record]) -> None:
        sizes.append(len(records))
        keep(records)

    monkeypatch.setattr(applying, "keep", noting)
    count = 2 * applying.PORTION + 3
    writer.write(*(ended(call(number)) for number in range(count)))
    Replay(writer.folder).run(writer.name)
    assert sizes == [applying.PORTION, applying.PORTION, 3]
    assert stored() == [call(number) for number in range(count)]


def test_two_that_apply_the_same_lines_apply_them_once(writer: Writer) -> None:
    """Which can't happen as long as locks are locks; the database does not rely on them."""
    one, other = Replay(writer.folder), Replay(writer.folder)
    writer.write(ended(call(1)))
    one.run(writer.name)
    other.run(writer.name)
    writer.write(ended(call(2)))
    other.run(writer.name)
    one.run(writer.name)  # finds itself overtaken
    writer.write(ended(call(3)))
    one.run(writer.name)
    assert stored() == [call(1), call(2), call(3)]


# Where it dies: the function, and the argument with which it is called then.
STEPS: dict[str, tuple[Any, str, Any]] = {
    "records": (applying, "keep", None),
    "hours": (applying, "add", UsageHour),
    "days": (applying, "add", UsageDay),
    "months": (applying, "add", UsageMonth),
    "commit": (replay, "apply", None),
    "unlink": (Replay, "delete", None),
    "forget": (replay, "forget", None),
}


def let_die(monkeypatch: pytest.MonkeyPatch, step: str, times: int, died: type[BaseException]) -> list[int]:
    """Makes the step die, the commit after it is done and all others before; returns how many calls are to go."""
    owner, name, wanted = STEPS[step]
    real, left = getattr(owner, name), [times]

    def dying(*arguments: Any, **named: Any) -> Any:
        here = left[0] > 0 and (wanted is None or arguments[0] is wanted)
        left[0] -= here
        dies = here and not left[0]
        if dies and step != "commit":
            raise died
        done = real(*arguments, **named)
        if dies:
            raise died
        return done

    monkeypatch.setattr(owner, name, dying)
    return left


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("died", [Died, OperationalError])
def test_a_death_at_any_step_neither_loses_nor_doubles(
    writer: Writer, monkeypatch: pytest.MonkeyPatch, step: str, times: int, died: type[BaseException]
) -> None:
    monkeypatch.setattr(replay, "BATCH", 1)
    writer.write(*(admitted(call(number)) for number in range(5)), *(ended(call(number)) for number in range(4)))
    writer.rotate(admitted(call(4)))
    writer.write(admitted(call(5)), ended(call(5)))
    writer.die()
    left = let_die(monkeypatch, step, times, died)
    bring = Replay(writer.folder)
    for _ in range(4):
        try:
            bring.run("")
        except Died:
            bring = Replay(writer.folder)  # another process
        except OperationalError:
            pass  # the same one, a moment later
    assert left[0] < times, "the step was never reached"
    assert sorted(stored()) == [call(number) for number in range(6)]
    assert UsageRecord.objects.get(ended="lost").call == call(4)
    assert writer.files() == []


def last_alive(writer: Writer, at: float) -> None:
    """Makes a writer one that was last heard of then."""
    for path in writer.folder.iterdir():
        os.utime(path, (at, at))


def test_a_lost_call_is_charged_what_it_can_have_written_while_its_server_lived(writer: Writer) -> None:
    big = {"reserved": 250_010, "cap": 250_000, "rate": 30.0}
    for number in range(8):
        writer.write(admitted(call(number), **big))
    writer.write(
        admitted(call(9), reserved=25, rate=30.0), {**admitted(call(9), reserved=60, rate=30.0), "again": True}
    )
    writer.die()
    last_alive(writer, NOON + 2.5)
    Replay(writer.folder).run("")
    rows = UsageRecord.objects.order_by("call").values_list("prompt_tokens", "completion_tokens", "ended", "estimated")
    assert list(rows) == [(10, 75, "lost", True)] * 8 + [(10, 50, "lost", True)]


def test_the_lock_tells_how_long_a_server_lived_that_had_nothing_to_write(writer: Writer) -> None:
    writer.write(admitted(reserved=1000, rate=10.0))
    writer.die()
    last_alive(writer, NOON)
    os.utime(writer.folder / f"{writer.name}.lock", (NOON + 6, NOON + 6))
    Replay(writer.folder).run("")
    assert UsageRecord.objects.get().completion_tokens == 60


def test_a_dead_writers_segments_are_kept_until_the_shared_ledger_knows(writer: Writer) -> None:
    told: list[str] = []
    bring = Replay(writer.folder, conclude=lambda name: told.append(name) or len(told) > 2)  # type: ignore[func-returns-value]  # None is what is wanted
    writer.write(admitted(call(1)), ended(call(1)))
    writer.rotate()
    writer.write(admitted(call(2)))
    writer.die()
    for times in (1, 2):
        bring.run("")
        assert told == [writer.name] * times
        assert len(writer.files()) == 3
        assert stored() == [call(1), call(2)]
    bring.run("")
    assert writer.files() == []
    assert stored() == [call(1), call(2)]
    assert not AppliedSegment.objects.exists()
