"""Streams cut anywhere: what comes out is the same, frame by frame, and nothing is lost, added or held back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.call import Facts
from proxy.dialects.chunks import Chunks
from proxy.dialects.frames import MAX_FRAME_BYTES, Frames, FrameTooLong
from proxy.dialects.ndjson import NDJSON, LinesAsEvents

FACTS = Facts(model="m", target="m", canonical="m", streamed=True)
SEPARATORS = st.sampled_from([b"\n", b"\n\n"])
# Few kinds of bytes, so that separators and marks come often, next to one another and cut in two.
BYTES = st.lists(st.sampled_from([b"a", b"\n", b"\n\n", b"\xf0\x9f\xa6\x99", b"\r\n", b"data: "])).map(b"".join)
# What models say that could be taken for something else.
TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ['"done":true', '"done": true', '{"error":"x"}', "data: [DONE]\n\n", "\u2028\u0085\n\r", "\\", "🦙"]
    ),
)


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Cuts bytes anywhere."""
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


def encoded(value: dict[str, Any], *, ascii_only: bool) -> bytes:
    return json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":")).encode()


# Frames


@given(st.data(), SEPARATORS, BYTES)
def test_frames_lose_and_invent_nothing(data: st.DataObject, separator: bytes, stream: bytes) -> None:
    frames = Frames(separator)
    out = b""
    for piece in data.draw(cuts(stream)):
        block = frames.feed(piece)
        assert block == b"" or block.endswith(separator)
        out += block
        assert separator not in stream[len(out) :][: len(frames.rest)], "a whole frame was held back"
    assert out + frames.end() == stream
    assert frames.end() == b""


@given(SEPARATORS, BYTES)
def test_a_frame_leaves_with_its_last_byte(separator: bytes, text: bytes) -> None:
    text = text.replace(b"\n", b"")
    frames = Frames(separator)
    for byte in text + separator[:-1]:
        assert frames.feed(bytes([byte])) == b""
    assert frames.feed(separator[-1:]) == text + separator


@pytest.mark.parametrize("separator", [b"\n", b"\n\n"])
def test_a_frame_without_an_end_is_given_up(separator: bytes) -> None:
    frames = Frames(separator)
    piece = b"x" * 2**20
    for _ in range(MAX_FRAME_BYTES // len(piece)):
        assert frames.feed(piece) == b""
    with pytest.raises(FrameTooLong):
        frames.feed(b"x")


def test_many_bytes_one_by_one_take_no_square_time() -> None:
    frames = Frames(b"\n")
    looks = 0

    class Counting(bytearray):
        def rfind(self, *arguments: Any) -> int:
            nonlocal looks
            looks += len(self) - arguments[1]
            return super().rfind(*arguments)

    frames.rest = Counting()
    for _ in range(10_000):
        frames.feed(b"x")
    assert looks <= 20_000


# Lines as events


@st.composite
def answers(draw: st.DrawFn) -> list[bytes]:
    """The lines of an answer of Ollama's, its terminal line last."""
    lines = [
        {"model": "m", "response": text, "done": False, **({"context": {"done": True, "error": text}} if odd else {})}
        for text, odd in draw(st.lists(st.tuples(TEXTS, st.booleans()), max_size=8))
    ]
    last = {"model": "m", "response": draw(TEXTS), "done": True, "prompt_eval_count": 3, "eval_count": 4}
    ascii_only = draw(st.booleans())
    return [encoded(line, ascii_only=ascii_only) for line in [*lines, last]]


@given(st.data(), answers(), BYTES)
@example(data=None, lines=[b'{"done":true}'], after=b"")  # type: ignore[arg-type]  # cut at each byte
def test_lines_become_the_same_events_wherever_they_are_cut(
    data: st.DataObject | None, lines: list[bytes], after: bytes
) -> None:
    stream = b"".join(line + b"\n" for line in lines) + after
    pieces = [stream[at : at + 1] for at in range(len(stream))] if data is None else data.draw(cuts(stream))
    for form, shape in ((LinesAsEvents(), b"data: %b\n\n"), (NDJSON(), b"%b\n")):
        reader = form.reader(FACTS)
        out = b""
        for piece in pieces:
            if not reader.over:
                out += reader.feed(piece)
        assert reader.over
        assert reader.failure is None
        assert out == b"".join(shape % line for line in lines)
        assert (reader.usage.prompt_tokens, reader.usage.completion_tokens) == (3, 4) or lines == [b'{"done":true}']


@given(st.data(), answers())
def test_an_answer_without_its_last_line_is_not_over(data: st.DataObject, lines: list[bytes]) -> None:
    stream = b"".join(line + b"\n" for line in lines[:-1])
    reader = LinesAsEvents().reader(FACTS)
    out = b"".join(reader.feed(piece) for piece in data.draw(cuts(stream))) + reader.end()
    assert not reader.over
    assert out == b"".join(b"data: %b\n\n" % line for line in lines[:-1])


@given(st.data(), answers())
def test_a_last_line_needs_no_newline(data: st.DataObject, lines: list[bytes]) -> None:
    reader = LinesAsEvents().reader(FACTS)
    out = b"".join(reader.feed(piece) for piece in data.draw(cuts(b"\n".join(lines)))) + reader.end()
    assert reader.over
    assert out == b"".join(b"data: %b\n\n" % line for line in lines)


@given(st.data(), answers(), TEXTS)
def test_an_error_line_ends_the_stream_and_does_not_pass(data: st.DataObject, lines: list[bytes], text: str) -> None:
    stream = b"".join(line + b"\n" for line in lines[:-1]) + encoded({"error": text}, ascii_only=False) + b"\n"
    reader = LinesAsEvents().reader(FACTS)
    out = b""
    for piece in data.draw(cuts(stream + b'{"done":true}\n')):
        if not reader.over:
            out += reader.feed(piece)
    assert reader.over
    assert reader.failure
    assert out == b"".join(b"data: %b\n\n" % line for line in lines[:-1])


@given(st.data(), answers(), st.sampled_from([b"\n\n", b"\r\n", b"\n\r\n\n"]))
def test_blank_lines_and_windows_line_ends_make_no_events(
    data: st.DataObject, lines: list[bytes], separator: bytes
) -> None:
    reader = LinesAsEvents().reader(FACTS)
    stream = separator + separator.join(lines) + separator
    out = b"".join(reader.feed(piece) for piece in data.draw(cuts(stream)) if not reader.over) + reader.end()
    assert out == b"".join(b"data: %b\n\n" % line for line in lines)


# OpenAI's chunks


@given(st.data(), st.lists(TEXTS, max_size=8), BYTES)
def test_chunks_pass_unchanged_up_to_their_end(data: st.DataObject, texts: list[str], after: bytes) -> None:
    chunks = [encoded({"model": "m", "choices": [{"text": text}]}, ascii_only=False) for text in texts]
    counts = encoded(
        {"model": "m", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}, ascii_only=True
    )
    stream = b"".join(b"data: %b\n\n" % chunk for chunk in [*chunks, counts, b"[DONE]"])
    reader = Chunks().reader(FACTS)
    out = b""
    for piece in data.draw(cuts(stream + after)):
        if not reader.over:
            out += reader.feed(piece)
    assert reader.over
    assert reader.failure is None
    assert out == stream
    assert (reader.usage.prompt_tokens, reader.usage.completion_tokens) == (3, 4)


@given(st.data(), st.lists(TEXTS, max_size=4))
def test_chunks_without_their_end_are_not_over(data: st.DataObject, texts: list[str]) -> None:
    chunks = [encoded({"model": "m", "choices": [{"text": text}]}, ascii_only=False) for text in texts]
    stream = b"".join(b"data: %b\n\n" % chunk for chunk in chunks)
    reader = Chunks().reader(FACTS)
    out = b"".join(reader.feed(piece) for piece in data.draw(cuts(stream + b"data: [DONE]"))) + reader.end()
    assert not reader.over
    assert out == stream
