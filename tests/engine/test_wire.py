"""JSON and times as Ollama writes and reads them."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Refusal
from engine.wire import dumps, loads, timestamp


def test_json_is_compact_with_the_escapes_of_go() -> None:
    assert dumps({"a": "<b> & é\u2028", "n": [1, 2]}) == (b'{"a":"\\u003cb\\u003e \\u0026 \xc3\xa9\\u2028","n":[1,2]}')


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_says_what_it_was_given(value: object) -> None:
    assert json.loads(dumps(value)) == value


@pytest.mark.parametrize("body", [b"", b"  ", b"{", b"[]", b'"x"', b'{"a":NaN}', b"\xff", b"[" * 9999])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        loads(body)
    assert refused.value.status == 400


def test_an_empty_body_is_named_as_ollama_does() -> None:
    with pytest.raises(Refusal, match=r"^missing request body$"):
        loads(b"")


def test_a_timestamp_is_utc_with_a_z() -> None:
    stamp = timestamp()
    assert stamp.endswith("Z")
    assert datetime.fromisoformat(stamp).utcoffset() is not None


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b'{"prompt": "cut \\ud83d"}', "cut \ufffd"),
        (b'{"prompt": "\\ude00\\ud83d\\ude00"}', "\ufffd\U0001f600"),
        (b'{"prompt": "caf\xe9"}', "caf\ufffd"),
    ],
)
def test_text_is_read_as_ollama_reads_it(body: bytes, read: str) -> None:
    assert loads(body) == {"prompt": read}
