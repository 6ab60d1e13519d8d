"""How a segment of the journal is read: in portions of whole lines."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage import segments


def test_a_segment_that_became_shorter_is_not_taken_for_read(tmp_path: Path) -> None:
    path = tmp_path / "segment"
    path.write_bytes(b"one\ntwo\n")
    end = segments.end_of_lines(path, 0, 100)
    path.write_bytes(b"one\ntw")
    with pytest.raises(OSError, match="shorter"):
        list(segments.lines_between(path, 0, end))


@given(
    lines=st.lists(st.binary(max_size=30).map(lambda text: text.replace(b"\n", b"") + b"\n"), max_size=12),
    rest=st.sampled_from([b"", b"half a line"]),
    most=st.integers(1, 80),
    portion=st.integers(2, 40),
)
def test_portions_of_a_segment_are_whole_lines_and_all_of_them(
    lines: list[bytes], rest: bytes, most: int, portion: int
) -> None:
    with TemporaryDirectory() as folder, patch.object(segments, "PORTION", portion):
        path = Path(folder) / "segment"
        path.write_bytes(b"".join(lines) + rest)
        start, seen = 0, []
        while (end := segments.end_of_lines(path, start, most)) > start:
            taken = list(segments.lines_between(path, start, end))
            assert end - start == sum(map(len, taken))
            assert end - start <= most or len(taken) == 1
            seen += taken
            start = end
        assert seen == lines
