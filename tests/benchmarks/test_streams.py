from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

import pytest

from benchmarks.cases import OPENAI
from benchmarks.child import TrialFailed
from benchmarks.holding import Holding
from benchmarks.servers import Bare
from benchmarks.stalls import MOST, Held, Holder, most, request_of
from benchmarks.streams import MICROSECONDS, Reader
from benchmarks.stub import stamps
from tests.benchmarks.raw import exchange, split

if TYPE_CHECKING:
    from benchmarks.stub_client import StubProcess


def held(streams: int, *, late: int = 0, events: float | None = None, cpu: float = 0.5) -> Held:
    return Held(
        streams=streams,
        rate=10,
        events=10 * streams if events is None else events,
        p50=0.001,
        p99=0.002,
        worst=0.003,
        late=late,
        cpu=cpu,
        other_core=0.1,
        kilobytes=20,
    )


def test_stamps_tell_when_each_chunk_was_due(stub: StubProcess) -> None:
    before = time.monotonic() * MICROSECONDS
    request = request_of(100, 0.1)
    body = split(exchange(stub.url, OPENAI, request.body))[1]
    moments = [int(found) for found in stamps.PATTERN.findall(body)]
    assert len(moments) == request.marks == 10
    assert before - 1000 <= moments[0] <= time.monotonic() * MICROSECONDS
    assert [later - earlier for earlier, later in itertools.pairwise(moments)] == pytest.approx([10_000] * 9, abs=1)


@pytest.mark.parametrize("size", [1, 3, 17, 18, 19, 1000])
def test_a_reader_finds_each_stamp_once_however_the_bytes_come(size: int) -> None:
    late: list[float] = []
    reader = Reader(b"", late)
    now = time.monotonic()
    data = b"HTTP/1.1 200 OK\r\n\r\n" + b"".join(b"data: " + stamps.stamp(now - n) + b"\n\n" for n in range(5))
    reader.began = True
    for start in range(0, len(data), size):
        reader.data_received(data[start : start + size])
    assert [round(value / MICROSECONDS) for value in late] == [0, 1, 2, 3, 4]


def test_streams_are_held_and_measured(stub: StubProcess) -> None:
    with Holder(stub.pid, None) as holder:
        holder.begin(Bare(stub.url, stub.pid), 50)
        assert holder.hold(30, window=0.1).streams == 30
        found = holder.hold(20, window=0.2)
    assert 500 < found.events < 1500
    assert 0 <= found.p50 <= found.p99 <= found.worst


def test_a_stream_that_is_refused_is_no_stream(stub: StubProcess) -> None:
    stub.behave(OPENAI, "status=503")
    with Holder(stub.pid, None) as holder:
        holder.begin(Bare(stub.url, stub.pid), 50)
        with pytest.raises(TrialFailed, match=r"1 of 1 streams ended: HTTP/1\.1 503"):
            holder.hold(1, window=0.1)


@pytest.mark.parametrize("limit", [1, 7, 31, 32, 100, 777, 5000, MOST])
def test_the_search_finds_the_largest_number_that_holds(limit: int) -> None:
    asked = []

    def hold(streams: int) -> Held | None:
        asked.append(streams)
        return held(streams, cpu=streams / limit) if streams <= limit else None

    found = most(hold)
    assert found
    assert limit / 1.3 <= found.streams <= limit
    assert len(asked) <= 16


def test_a_server_that_holds_not_one_stream_is_said_to() -> None:
    assert most(lambda _streams: None) is None
    holding = Holding(largest={"rival": [None, None], "gateway": [held(900), held(300)]})
    assert "| rival | not one | not one | – | – | – |" in holding.markdown()
    assert "| gateway | 900 | 300 | 50% / 50% | 10% / 10% | 3 / 3 |" in holding.markdown()


def test_an_event_that_is_late_or_missing_is_a_stall() -> None:
    assert not held(100).stalls
    assert held(100, late=1).stalls
    assert held(100, events=900).stalls
    table = Holding(promised={(100, 10): [held(100), held(100, late=1)]}).markdown()
    assert "| 100 | 10 | 1 of 2 |" in table
