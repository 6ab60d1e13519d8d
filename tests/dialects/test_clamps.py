"""What an ordinary key may not change for everybody."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.clamps import LOAD_OPTIONS, Clamps, seconds_of


def applied(payload: dict[str, Any], **clamps: Any) -> tuple[dict[str, Any], list[str]]:
    changed = Clamps(**clamps).apply(payload)
    return payload, changed


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (0, 0),
        (-0.0, 0),
        (300, 300),
        (1.5, 1.5),
        (-1, -1),
        (1e-10, 0),
        ("0", 0),
        ("-0", 0),
        ("+0", 0),
        ("0s", 0),
        ("0h0m", 0),
        ("0.1ns", 0),
        ("5m", 300),
        ("1h30m", 5400),
        ("-1m", -60),
        (".5s", 0.5),
        ("1.s", 1),
        ("100ms", 0.1),
        ("3us", 3e-6),
        ("3µs", 3e-6),
        ("3μs", 3e-6),
        ("300", None),
        ("", None),
        ("-", None),
        ("5 m", None),
        ("5min", None),
        ("m", None),
        ("forever", None),
        (True, None),
        ([], None),
        ({}, None),
        (None, None),
    ],
)
def test_a_keep_alive_is_read_as_ollama_reads_it(text: object, seconds: float | None) -> None:
    assert seconds_of(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("name", sorted(LOAD_OPTIONS))
def test_an_option_that_reloads_the_model_is_dropped(name: str) -> None:
    payload, changed = applied({"options": {name: 1, "temperature": 0.5, "unheard_of": 1}})
    assert payload == {"options": {"temperature": 0.5, "unheard_of": 1}}
    assert changed == [f"options.{name} dropped"]


@pytest.mark.parametrize("name", sorted(LOAD_OPTIONS))
def test_the_operator_can_allow_an_option(name: str) -> None:
    assert applied({"options": {name: 1}}, options=frozenset({name})) == ({"options": {name: 1}}, [])


@pytest.mark.parametrize(
    ("asked", "sent", "changed"),
    [
        (300, 300, []),
        ("5m", "5m", []),
        ("10m", "10m", []),
        (601, 600, ["keep_alive=600"]),
        ("24h", 600, ["keep_alive=600"]),
        (-1, 600, ["keep_alive=600"]),
        ("-1m", 600, ["keep_alive=600"]),
        (0, None, ["keep_alive dropped"]),
        ("0s", None, ["keep_alive dropped"]),
        (0.2, None, ["keep_alive dropped"]),
        ("1ms", None, ["keep_alive dropped"]),
        ("nonsense", None, ["keep_alive dropped"]),
        (True, None, ["keep_alive dropped"]),
    ],
)
def test_a_keep_alive_is_kept_between_its_limits(asked: object, sent: object, changed: list[str]) -> None:
    payload, said = applied({"keep_alive": asked}, keep_alive=600.0)
    assert payload.get("keep_alive") == sent
    assert said == changed


def test_a_long_keep_alive_is_said_in_plain_digits() -> None:
    assert applied({"keep_alive": -1}, keep_alive=2_592_000.0)[1] == ["keep_alive=2592000"]


@pytest.mark.parametrize("limit", [None, 0.0])
def test_without_a_limit_a_keep_alive_is_dropped(limit: float | None) -> None:
    for asked in (0, 300, -1, "5m"):
        assert applied({"keep_alive": asked}, keep_alive=limit) == ({}, ["keep_alive dropped"])


def test_the_fields_that_reload_or_disclose_are_dropped() -> None:
    payload, changed = applied({"shift": False, "_debug_render_only": True, "truncate": False, "model": "m"})
    assert payload == {"truncate": False, "model": "m"}
    assert changed == ["shift dropped", "_debug_render_only dropped"]


def test_null_is_nothing_to_change() -> None:
    payload = {"keep_alive": None, "shift": None, "options": None}
    assert applied(dict(payload)) == (payload, [])


@pytest.mark.parametrize(
    ("payload", "field", "sent", "changed"),
    [
        ({}, "max_tokens", {"max_tokens": 50}, ["max_tokens=50"]),
        ({"max_tokens": None}, "max_tokens", {"max_tokens": 50}, ["max_tokens=50"]),
        ({"max_tokens": 50}, "max_tokens", {"max_tokens": 50}, []),
        ({"max_tokens": 51}, "max_tokens", {"max_tokens": 50}, ["max_tokens=50"]),
        ({"max_tokens": 0}, "max_tokens", {"max_tokens": 50}, ["max_tokens=50"]),
        ({"max_output_tokens": 9999}, "max_output_tokens", {"max_output_tokens": 50}, ["max_output_tokens=50"]),
        ({}, "num_predict", {"options": {"num_predict": 50}}, ["options.num_predict=50"]),
        ({"options": None}, "num_predict", {"options": {"num_predict": 50}}, ["options.num_predict=50"]),
        ({"options": {"num_predict": -1}}, "num_predict", {"options": {"num_predict": 50}}, ["options.num_predict=50"]),
        (
            {"options": {"num_predict": "9"}},
            "num_predict",
            {"options": {"num_predict": 50}},
            ["options.num_predict=50"],
        ),
        ({"options": {"num_predict": 7, "seed": 1}}, "num_predict", {"options": {"num_predict": 7, "seed": 1}}, []),
    ],
)
def test_an_answer_has_at_most_so_many_tokens(
    payload: dict[str, Any], field: str, sent: dict[str, Any], changed: list[str]
) -> None:
    assert Clamps(output_tokens=50).cap(payload, field) == changed
    assert payload == sent


def test_without_a_cap_nothing_is_capped() -> None:
    payload: dict[str, Any] = {"max_tokens": 10**9}
    assert Clamps().cap(payload, "max_tokens") == []
    assert Clamps(output_tokens=5).cap(payload, None) == []
    assert payload == {"max_tokens": 10**9}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from(["keep_alive", "shift", "options", "_debug_render_only", "x"]), JSON_VALUES),
    st.none() | st.floats(0, 1e6),
)
def test_whatever_is_asked_the_box_stays_as_it_is(payload: dict[str, Any], longest: float | None) -> None:
    Clamps(keep_alive=longest).apply(payload)
    seconds = seconds_of(payload.get("keep_alive"))
    assert seconds is None or (longest is not None and 1 <= seconds <= longest)
    assert payload.get("shift") is None
    options = payload.get("options")
    assert not isinstance(options, dict) or not LOAD_OPTIONS & options.keys()


def test_a_long_duration_is_refused_at_once() -> None:
    # With an ambiguous pattern this takes minutes, and everybody waits.
    assert seconds_of("1" * 100_000) is None
    assert seconds_of("1" * 64) is None
    assert seconds_of("1.5" * 20 + "h") is None
