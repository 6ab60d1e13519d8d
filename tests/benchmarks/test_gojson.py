from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.stub.gojson import Struct, decode, encode, float32, fold
from benchmarks.stub.refusal import Refusal

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=5))
def test_what_is_encoded_decodes_to_the_same(value: dict[str, object]) -> None:
    assert decode(encode(value), "empty") == value
    assert json.loads(encode(value)) == value


@given(st.text())
def test_no_character_that_html_or_javascript_minds_is_left(text: str) -> None:
    assert not set(encode({"a": text}).decode()) & set("<>&\u2028\u2029")


@pytest.mark.parametrize("key", ["stream", "STREAM", "\u017ftream", "Stream"])
def test_keys_that_go_takes_for_the_same_fold_to_the_same(key: str) -> None:
    assert fold(key) == "stream"


def test_the_kelvin_sign_is_a_k() -> None:
    assert fold("\u212aeep_alive") == "keep_alive"


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ('{"model":"a","model":"b"}', "b"),
        ('{"model":"a","MODEL":"b"}', "b"),
        ('{"Model":"b","model":"a"}', "a"),
        ('{"model":"a","model":null}', "a"),
        (' \n{"model":"a"} {"model":"b"}', "a"),
    ],
)
def test_the_last_value_that_is_not_null_wins(body: str, value: str) -> None:
    assert decode(body.encode(), "empty").text("model") == value


def test_a_pointer_takes_null_too() -> None:
    assert decode(b'{"stream":false,"stream":null}', "empty").flag("stream") is None


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b'{"a":', "unexpected EOF"),
        (b'{"a":"b', "unexpected EOF"),
        (b"{'a':1}", "invalid character ''' looking for beginning of value"),
        (b'{"a":NaN}', "invalid character 'N' looking for beginning of value"),
        (b"[1]", "json: cannot unmarshal array into Go value of type api.Request"),
        (b"[" * 100_000, "exceeded max depth"),
    ],
)
def test_what_can_t_be_read_is_refused_in_the_decoder_s_words(body: bytes, text: str) -> None:
    with pytest.raises(Refusal) as refused:
        decode(body, "empty")
    assert (refused.value.status, refused.value.text) == (400, text)


def test_a_value_of_another_type_is_refused() -> None:
    with pytest.raises(Refusal, match=r"cannot unmarshal string into Go struct field \.stream of type bool"):
        Struct([("stream", "yes")]).flag("stream")
    with pytest.raises(Refusal, match=r"cannot unmarshal bool into Go struct field \.max_tokens of type int"):
        Struct([("max_tokens", True)]).number("max_tokens")


def test_floats_are_as_short_as_float32_allows() -> None:
    assert repr(float32(0.1)) == "0.1"
    assert repr(float32(1 / 3)) == "0.33333334"
