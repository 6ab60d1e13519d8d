"""The journal's lines: read whatever they hold, and made to fit the tables."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.usage.journals import NOON, admitted, ended, written
from usage.lines import Admitted, Record, read
from usage.models import UsageRecord

anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = sorted({*ended(), *admitted()} - {"event", "call"})


def line(said: dict[str, Any]) -> bytes:
    return orjson.dumps(said)


def test_an_ended_call_is_read_whole() -> None:
    given = {"error": "upstream_failed", "reason": "It broke off.", "user_agent": "curl/8.5.0"}
    record = read(line(ended(owner=3, team="lab", client="192.0.2.1", **given)))
    assert isinstance(record, Record)
    said = ended(owner=3, team="lab", client="192.0.2.1", **given)
    assert {name: said[name] for name in record._asdict()} == record._asdict()
    assert record.gpu_nanoseconds == 600


def test_an_admitted_call_says_what_its_loss_costs() -> None:
    found = read(line(admitted()))
    assert isinstance(found, Admitted)
    lost = found.lost
    assert (lost.ended, lost.prompt_tokens, lost.completion_tokens, lost.estimated) == ("lost", 10, 100, True)
    assert (lost.at, lost.key, lost.model, lost.first_byte) == (NOON, "key1", "mistral", None)


@pytest.mark.parametrize(
    "broken",
    [b"", b"{", b'{"event":"ended"', b"[]", b"null", b'"ended"', b'{"event":"else","call":"a"}', b'{"event":"ended"}'],
)
def test_a_line_that_says_nothing_is_told_apart(broken: bytes) -> None:
    assert read(broken) is None


def test_a_line_behind_a_cut_one_is_read() -> None:
    whole = written([ended("b" * 24)]).rstrip()
    for cut in range(1, len(whole)):
        found = read(whole[:cut] + line(ended("c" * 24)))
        assert isinstance(found, Record)
        assert found.call == "c" * 24


@given(
    event=st.sampled_from(["ended", "admitted"]),
    call=st.text(min_size=1, max_size=100),
    said=st.dictionaries(st.sampled_from(NAMES), anything),
)
def test_whatever_a_line_holds_its_record_fits_the_table(event: str, call: str, said: dict[str, Any]) -> None:
    try:
        found = read(line({"event": event, "call": call, **said}))
    except TypeError:  # a surrogate: no such line can be written
        return
    record = found.lost if isinstance(found, Admitted) else found
    if record is None:
        assert not call.replace("\0", "")
        return
    for field in UsageRecord._meta.get_fields():
        if field.name in ("id", "at"):
            continue
        value = getattr(record, field.name)
        assert value is not None or field.null
        if isinstance(value, str):
            assert len(value) <= field.max_length
            assert "\0" not in value
        elif isinstance(value, int):
            assert 0 <= value <= (32_767 if field.name == "status" else 2**63 - 1)
        else:
            assert value is None or 0 <= value < 2**64
    assert 0 <= record.at <= 32_503_680_000


def lost_after(lived: float, **said: Any) -> int:
    """The output that a call is charged whose process was last alive so many seconds after it began."""
    found = read(line(admitted(**said)))
    assert isinstance(found, Admitted)
    return found.lost_at(NOON + lived).completion_tokens


@pytest.mark.parametrize(
    ("lived", "said", "charged"),
    [
        (2.0, {"reserved": 900_010, "rate": 30.0, "cap": 900_000}, 60),
        (2.0, {"reserved": 110, "rate": 300.0, "cap": None}, 100),
        (2.0, {"reserved": 900_010, "rate": 300.0, "cap": 24}, 24),
        (2.0, {"reserved": None, "rate": 30.0, "cap": None}, 60),
        (2.0, {"reserved": None, "rate": 30.0, "cap": 0}, 0),
        (-5.0, {"reserved": 900_010, "rate": 30.0, "cap": None}, 0),
        (9.0, {"reserved": 900_010, "rate": 30.0, "waits": True, "asked": NOON}, 0),
        (9.0, {"reserved": 900_010, "rate": 30.0, "waits": False, "asked": NOON + 7}, 60),
        (9.0, {"reserved": 900_010, "rate": 30.0, "waits": False, "asked": "soon"}, 270),
        (2.0, {"reserved": 900_010}, 40),  # of a server that wrote no rates
        (9e9, {"reserved": 900_010}, 900_000),
        (2.0, {"reserved": 110, "rate": -1, "cap": -1}, 0),
        (2.0, {"reserved": 110, "rate": "much", "cap": "much"}, 40),
    ],
)
def test_a_lost_call_costs_no_more_than_it_can_have_written(lived: float, said: dict[str, Any], charged: int) -> None:
    assert lost_after(lived, **said) == charged


@given(
    st.dictionaries(st.sampled_from(["reserved", "prompt_estimate", "rate", "cap"]), anything),
    st.floats(),
)
def test_whatever_a_line_says_of_a_lost_call_can_be_stored(said: dict[str, Any], moment: float) -> None:
    found = read(line(admitted(**said)))
    assert isinstance(found, Admitted)
    assert 0 <= found.lost_at(NOON).completion_tokens <= 2**53
    if moment == moment and abs(moment) < 1e15:  # noqa: PLR0124 -- not NaN
        assert 0 <= found.lost_at(moment).completion_tokens <= 2**53
