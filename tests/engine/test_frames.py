"""Frames are the same however the stream was cut on its way."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.frames import Frames, is_progress, payload
from engine.wire import dumps

EVENTS = st.lists(st.fixed_dictionaries({"content": st.text()}), max_size=8)


@given(EVENTS, st.lists(st.integers(min_value=0, max_value=400)))
def test_frames_do_not_depend_on_where_the_stream_is_cut(events: list[dict[str, str]], cuts: list[int]) -> None:
    stream = b"".join(b"data: " + dumps(event) + b"\n\n" for event in events)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    frames = Frames()
    got = [frame for start, end in itertools.pairwise(edges) for frame in frames.feed(stream[start:end])]
    assert b"".join(got) == stream
    assert [payload(frame) for frame in got] == events


@given(st.text())
def test_text_never_looks_like_a_progress_report(text: str) -> None:
    assert not is_progress(dumps({"content": f'"prompt_progress":{text}'}))


def test_a_progress_report_is_told_from_the_rest() -> None:
    assert is_progress(b'data: {"choices":[],"prompt_progress":{"total":3}}\n\n')


@pytest.mark.parametrize("frame", [b"data: [DONE]\n\n", b": ping\n\n", b"event: x\n\n", b"data: 1\n\n"])
def test_a_frame_without_an_object_has_no_payload(frame: bytes) -> None:
    assert payload(frame) is None


def test_the_payload_of_a_named_event_is_its_data() -> None:
    assert payload(b'event: message_stop\ndata: {"type":"message_stop"}\n\n') == {"type": "message_stop"}
