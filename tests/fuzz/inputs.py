"""Strategies for what a hostile or confused client may send."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote_from_bytes

from hypothesis import strategies as st

# The ends of calendars and numbers, what no database holds, and what once meant something to an interpreter.
AWKWARD = (
    *("", "0", "-1", "1e309", "NaN", "10" + "0" * 30, "9223372036854775807", "9223372036854775808", "1" * 400),
    *("0001-01-01", "0001-01-29", "9999-12-31", "9999-12-01", "0000-00-00", "2026-02-30", "2026-W01-1", "20260101"),
    *("10000-01-01", "9999-12-31T23:59", "1969-12-31", "2199-12-31", "999999999d", "\u0662\u0660", "²"),
    *("\0", "a\0b", "\x01", "\ud83d", "\ud83d\ude00", "\u202e", "\ufffe", "\u2028", "İ", "ß", "\U0010ffff", "a" * 5000),
    *("'", '"', "%", "%00", "%ff", "\\", "..", "../..", "//", ",", ",,", ":", "*", "[", "(", "{{7*7}}", "\r\nX: y"),
    *("all", "true", "null", "None", "[]", "{}", "key", "day", "key,day", "owner", "exact", "__isnull", "1,2", "=1+1"),
)
TEXTS = st.one_of(st.sampled_from(AWKWARD), st.text(max_size=30), st.from_regex(r"[0-9]{1,25}", fullmatch=True))


def escaped(text: str) -> str:
    """Percent-encodes a text, half surrogates and all."""
    return quote_from_bytes(text.encode("utf-8", "surrogatepass"), safe="")


def queries(fields: dict[str, tuple[str, ...]]) -> st.SearchStrategy[str]:
    """Query strings of these fields with values that they know, or nearly."""
    good = st.sampled_from(sorted(fields)).flatmap(
        lambda name: st.tuples(st.just(name), st.sampled_from((*fields[name], *AWKWARD[:30])))
    )
    any_pair = st.tuples(st.one_of(st.sampled_from(sorted(fields)), TEXTS), TEXTS)
    pairs = st.lists(st.one_of(good, good, any_pair), max_size=5)
    return st.one_of(
        pairs.map(lambda found: "&".join(f"{escaped(name)}={escaped(value)}" for name, value in found)),
        st.binary(max_size=20).map(lambda raw: quote_from_bytes(raw, safe="=&;")),
    )


JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.floats(), TEXTS, st.sampled_from([10**400, -0.0])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=8,
)


def documents(example: dict[str, Any], names: tuple[str, ...]) -> st.SearchStrategy[bytes]:
    """JSON objects that are nearly a good one: some of its fields, and others, with any value."""
    changes = st.dictionaries(st.sampled_from((*example, *names)), JSON, max_size=3)
    kept = st.sets(st.sampled_from(tuple(example))) if example else st.just(set())

    def made(change: dict[str, Any], dropped: set[str]) -> bytes:
        whole = {name: value for name, value in example.items() if name not in dropped} | change
        return json.dumps(whole).encode("utf-8", "surrogatepass")

    return st.one_of(
        st.builds(made, changes, st.just(set())),
        st.builds(made, changes, kept),
        st.builds(lambda raw: raw.encode("utf-8", "surrogatepass"), TEXTS),
        st.binary(max_size=60),
        JSON.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")),
    )


HEADER_NAMES = st.sampled_from(
    (
        *(
            "Accept",
            "Accept-Encoding",
            "Authorization",
            "X-API-Key",
            "Content-Type",
            "Content-Encoding",
            "Cookie",
            "Origin",
        ),
        *("Expect", "If-None-Match", "If-Modified-Since", "Range", "Referer", "User-Agent", "X-Forwarded-For", "Via"),
        *(
            "X-Request-ID",
            "Accept-Language",
            "Upgrade",
            "TE",
            "Trailer",
            "anthropic-version",
            "OpenAI-Beta",
            "Connection",
        ),
        *("X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Prefix", "Forwarded", "traceparent", "X-CSRFToken"),
    )
)
HEADER_VALUES = st.one_of(
    st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=60),
    st.sampled_from(
        ("", "Bearer", "Basic !!!", "Bearer " + "x" * 3000, "*/*;q=9", "gzip;q=", "bytes=0-1,2-3", "@", ", ,")
    ),
)
