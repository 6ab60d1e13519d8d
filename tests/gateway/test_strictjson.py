"""JSON that everyone reads alike: what passes means one thing, and what is written says the same."""

from __future__ import annotations

import contextlib
import json
import math
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.strictjson import MAX_DEPTH, JSONFault, dump, parse

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
# Few kinds of text, so that they come together as something that is nearly JSON.
PIECES = st.lists(
    st.sampled_from(
        [
            *("{", "}", "[", "]", ",", ":", '"a"', '"A"', '"\\u0061"', '"\\ud800"', "1", "-", "0", ".5", "e9", "1e999"),
            *("NaN", "Infinity", "true", "null", " ", "\n", "\ufeff", '"', "\\", "//", "\x00", "\x1f", "9" * 5000),
        ]
    )
).map("".join)


@given(VALUES, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_what_is_json_passes_and_means_the_same(value: Any, ascii_only: bool, indent: Any) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert same(parse(text.encode()), value)
    assert same(json.loads(dump(parse(text.encode()))), value)


def same(one: Any, other: Any) -> bool:
    """Compares values of JSON, where 1, 1.0 and true are three."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@given(st.one_of(st.binary(), PIECES.map(lambda text: text.encode()), st.text().map(lambda text: text.encode())))
def test_whatever_comes_is_a_value_or_a_fault(raw: bytes) -> None:
    try:
        value = parse(raw)
    except JSONFault:
        return
    assert same(value, json.loads(like_go(raw)))
    try:
        written = dump(value)
    except JSONFault:
        return
    assert same(parse(written), value)


def like_go(raw: bytes) -> str:
    """Reads a text as Go's decoder does, the plain way: byte by byte, escape by escape."""
    text = ""
    while raw:
        for length in range(1, 5):
            with contextlib.suppress(UnicodeDecodeError):
                character = raw[:length].decode()
                break
        else:
            character, length = "\ufffd", 1
        text, raw = text + character, raw[length:]
    return re.sub(
        r"\\u([dD][89abAB]..)\\u([dD][c-fC-F]..)|\\u[dD][89a-fA-F]..|\\.",
        lambda found: "\ufffd" if found[0][:3].lower() == "\\ud" and found[1] is None else found[0],
        text,
        flags=re.DOTALL,
    )


@given(
    st.lists(
        st.sampled_from([b"\\", b"\\\\", b"\\ud83d", b"\\uDE00", b"\\n", b"ud83d", b"a", b"?", b"\xf0\x9f\x98\x80"])
    )
)
def test_halves_of_pairs_are_read_as_go_reads_them(pieces: list[bytes]) -> None:
    raw = b'{"' + b"".join(pieces) + b'":["' + b"".join(pieces) + b'"]}'
    try:
        expected = json.loads(like_go(raw))
    except json.JSONDecodeError:
        with pytest.raises(JSONFault):
            parse(raw)
        return
    assert parse(raw) == expected
    assert parse(dump(parse(raw))) == expected


@given(
    st.lists(
        st.sampled_from(
            [b"\xff", b"\xe2", b"\x82", b"\xac", b"\xed", b"\xa0", b"\xf0", b"\x9f", b"a", b"?", "é".encode()]
        )
    )
)
def test_bytes_that_are_not_utf_8_are_read_as_go_reads_them(pieces: list[bytes]) -> None:
    raw = b'["' + b"".join(pieces) + b'"]'
    assert parse(raw) == json.loads(like_go(raw))


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        # From Go's encoding/json and unicode/utf8: a byte is one replacement, half a pair is one, a whole pair none.
        (b'"caf\xe9"', "caf\ufffd"),
        (b'"\xe2\x82"', "\ufffd\ufffd"),
        (b'"\xed\xa0\x80"', "\ufffd\ufffd\ufffd"),
        (b'"\xf0\x9f\x98"', "\ufffd\ufffd\ufffd"),
        (b'"\xc0\x80"', "\ufffd\ufffd"),
        (b'"\\ud83d"', "\ufffd"),
        (b'"\\ude00\\ud83d"', "\ufffd\ufffd"),
        (b'"\\ud83d\\ud83d\\ude00"', "\ufffd\U0001f600"),
        (b'"\\ud83d\\ude00\\ude00"', "\U0001f600\ufffd"),
        (b'"\\\\ud83d\\ude00"', "\\ud83d\ufffd"),
        (b'"\\ud83d\\n"', "\ufffd\n"),
        (b'"\\ud83d\xff?"', "\ufffd\ufffd?"),
    ],
)
def test_what_is_no_character_is_one_replacement(raw: bytes, read: str) -> None:
    assert parse(raw) == read
    assert parse(b"{%b:1}" % raw) == {read: 1}


@given(st.dictionaries(st.text(max_size=9), SCALARS, min_size=1, max_size=5), st.data())
@settings(max_examples=50)
def test_a_key_that_stands_twice_is_a_fault_at_any_depth(members: dict[str, Any], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(members)))
    pairs = [*members.items(), (key, None)]
    written = "{" + ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in pairs) + "}"
    for text in (written, f"[1,{written}]", f'{{"a":{{"b":[{written}]}}}}'):
        with pytest.raises(JSONFault, match="stands twice"):
            parse(text.encode())


@given(st.dictionaries(st.text(max_size=9), SCALARS, min_size=1, max_size=5))
@settings(max_examples=50)
def test_half_a_document_is_a_fault(members: dict[str, Any]) -> None:
    raw = json.dumps(members).encode()
    for end in {1, len(raw) // 2, len(raw) - 1}:
        with pytest.raises(JSONFault):
            parse(raw[:end])


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "Expecting value"),
        (b" ", "Expecting value"),
        (b"{} {}", "Extra data"),
        (b"{}x", "Extra data"),
        (b'{"a":1,"\\u0061":2}', "'a' stands twice"),
        (b'{"a":1,"b":{"c":1,"c":1}}', "'c' stands twice"),
        (b"[NaN]", "NaN is not JSON"),
        (b"[Infinity]", "Infinity is not JSON"),
        (b"[-Infinity]", "-Infinity is not JSON"),
        (b"[1e309]", "too large"),
        (b"[-1e309]", "too large"),
        (b"[" + b"9" * 4301 + b"]", "too long"),
        (b'{"\xff":1,"\\ud800":2}', "stands twice"),
        (b'{"a":1}\xff', "Extra data"),
        (b"\xff{}", "Expecting value"),
        (b"{\\ud800:1}", "column 2"),
        (b"\xff\xfe{\x00}\x00", "control character"),
        (b'["\xff\x00"]', "control character"),
        (b'["\\\\ud800\x00"]', "control character"),
        (b"\xef\xbb\xbf{}", "column 1"),
        (b'["\x00"]', "control character"),
        (b'["\n"]', "control character"),
        (b"{'a':1}", "column 2"),
        (b'{"a":1,}', "column"),
        (b"[1,]", "column"),
        (b"[01]", "column"),
        (b"[+1]", "column"),
        (b"[.5]", "column"),
        (b"[1.]", "column"),
        (b"// x\n{}", "column 1"),
        (b"{" * 200, "column"),
        (b"[" * 100_000, "deeper"),
        (b'{"a":' * 100_000, "deeper"),
    ],
)
def test_what_is_doubtful_is_a_fault_that_says_why(raw: bytes, why: str) -> None:
    with pytest.raises(JSONFault, match=why):
        parse(raw)


@pytest.mark.parametrize(("start", "end"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_depth_has_a_limit_that_is_the_same_on_both_ways(start: bytes, end: bytes) -> None:
    inner = b"[]" if start == b"[" else b"{}"
    deepest = start * (MAX_DEPTH - 1) + inner + end * (MAX_DEPTH - 1)
    assert dump(parse(deepest)) == deepest
    with pytest.raises(JSONFault, match="deeper than 128"):
        parse(start + deepest + end)


def test_many_brackets_beside_one_another_are_not_deep() -> None:
    raw = b"[" + b",".join([b"[]"] * 5000) + b"]"
    assert dump(parse(raw)) == raw


@pytest.mark.parametrize(
    "number", [0, 2**53 + 1, 2**64 - 1, -(2**63), 2**64, -(2**63) - 1, 10**30, -(10**400), 10**4299]
)
def test_integers_keep_all_their_digits(number: int) -> None:
    raw = b'{"a":["\xc3\xa9\\n",%d,1.5]}' % number
    assert dump(parse(raw)) == raw


def test_a_small_number_is_no_fault() -> None:
    assert parse(b"[1e-999]") == [0.0]
    assert math.copysign(1, parse(b"[-0.0]")[0]) == -1


def test_a_fault_quotes_no_more_than_a_key() -> None:
    with pytest.raises(JSONFault) as fault:
        parse(b'{"%b":1,"%b":1}' % (b"k" * 10_000, b"k" * 10_000))
    assert len(str(fault.value)) < 100
    with pytest.raises(JSONFault) as fault:
        parse(b'{"prompt":"my secret" x}')
    assert "secret" not in str(fault.value)


@pytest.mark.parametrize(
    "raw",
    [
        b"[" + b"[]," * 200_000 + b"1]",
        b"[" + b"{}," * 200_000 + b"1]",
        b"{" + b",".join(b'"%d":1' % number for number in range(200_001)) + b"}",
        b"[" + b"1," * 1_000_001 + b"1]",
    ],
    ids=["arrays", "objects", "pairs", "items"],
)
def test_a_body_of_too_many_parts_is_refused_before_it_is_parsed(raw: bytes) -> None:
    with pytest.raises(JSONFault, match="too many parts"):
        parse(raw)


def test_a_long_text_is_no_body_of_many_parts() -> None:
    text = "One, two, three. " * 100_000
    assert parse(json.dumps({"prompt": text}).encode()) == {"prompt": text}


@pytest.mark.parametrize("text", ['[{"a": [1, 2]}]', "[[[[", "}{", '\\"[', "\\\\[", '{"a":1,"b":2,'])
def test_brackets_in_a_string_are_no_parts(text: str) -> None:
    prompt = text * 300_000
    raw = json.dumps({"prompt": prompt, "a": [{}], "b": "\\"}).encode()
    assert parse(raw) == {"prompt": prompt, "a": [{}], "b": "\\"}


@pytest.mark.parametrize("before", ['"[[{{,"', '"\\\\"', '"\\""'])
def test_brackets_beside_strings_are_parts(before: str) -> None:
    raw = f"[{before},".encode() + b"[]," * 200_001 + b"1]"
    with pytest.raises(JSONFault, match="too many parts"):
        parse(raw)


def test_more_strings_than_any_text_within_bounds_has_are_too_many() -> None:
    with pytest.raises(JSONFault, match="too many parts"):
        parse(b'["a"' + b',"a"' * 1_500_000 + b"]")
