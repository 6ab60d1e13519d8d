"""The line that Claude Code puts before its system prompt, and that changes with every turn."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.stub_client import StubProcess
from proxy.attribution import remove_attribution
from tests.dialects.front import BODIES, House, Keyed, opened

CHANGED = "x-gateway-changed"
SAID = "system: x-anthropic-billing-header dropped"
LINE = "x-anthropic-billing-header: cc_version=2.1.37.0d9; cc_entrypoint=cli; cch=8f3e1;"
PROMPT = "You are Claude Code, Anthropic's official CLI for Claude."
TEXT: dict[str, Any] = {"type": "text", "text": PROMPT, "cache_control": {"type": "ephemeral"}}


def block(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


@pytest.mark.parametrize(
    ("system", "left"),
    [
        ([block(LINE), TEXT], [TEXT]),
        ([block(f"{LINE}\n"), TEXT], [TEXT]),
        ([block(LINE)], None),
        ([block(f"{LINE}\n\n{PROMPT}"), TEXT], [block(PROMPT), TEXT]),
        (f"{LINE}\n{PROMPT}", PROMPT),
        (f"{LINE}\r\n\r\n{PROMPT}", PROMPT),
        (LINE, None),
        ("x-anthropic-billing-header: cc_version=2.1.15; cc_entrypoint=sdk-py\nx", "x"),
    ],
)
def test_the_line_is_removed(system: Any, left: Any) -> None:
    payload = {"system": system}
    assert remove_attribution(payload) == [SAID]
    assert payload.get("system") == left


@pytest.mark.parametrize(
    "system",
    [
        None,
        "",
        [],
        PROMPT,
        [TEXT, block(LINE)],
        f"{PROMPT}\n{LINE}",
        f" {LINE}",
        f"X{LINE}",
        "x-anthropic-billing-header",
        "x-anthropic-billing-header:",
        "x-anthropic-billing-header: is a header that Claude Code sends.",
        [block("x-anthropic-billing-header: explain a=b; to me")],
        [{"type": "image", "text": LINE}],
        [{"type": "text", "text": [LINE]}],
        [LINE],
        {"text": LINE},
        f"x-anthropic-billing-header: a={'b' * 600}",
    ],
)
def test_nothing_else_is_touched(system: Any) -> None:
    payload = {"system": system}
    assert remove_attribution(payload) == []
    assert payload == {"system": system}


@given(st.text(max_size=40))
def test_what_follows_the_line_stays_to_the_last_character(rest: str) -> None:
    payload = {"system": f"{LINE}\n{PROMPT}{rest}"}
    remove_attribution(payload)
    assert payload["system"] == PROMPT + rest


@pytest.mark.parametrize("filling", [" ", "a=;", "a=", "\r", ";"])
def test_a_long_line_is_left_at_once(filling: str) -> None:
    # With a pattern that may match in many ways this takes hours, and everybody waits.
    system = "x-anthropic-billing-header: a=" + filling * 1_000_000 + "x"
    payload = {"system": system}
    assert remove_attribution(payload) == []
    assert payload["system"] is system


# Through the front door


@pytest.mark.parametrize("system", [[block(LINE), TEXT], f"{LINE}\n{PROMPT}"])
def test_two_turns_begin_alike(house: House, system: Any) -> None:
    for mark in ("8f3e1", "00c2a"):
        turned = [block(LINE.replace("8f3e1", mark)), TEXT] if isinstance(system, list) else system
        answer = house.ask("/v1/messages", {**BODIES["/v1/messages"], "system": turned})
        assert answer.status == 200
        assert answer.headers[CHANGED] == SAID
    first, second = house.reached()
    assert first.body == second.body
    assert b"billing" not in first.body


def test_tokens_are_counted_without_it(house: House) -> None:
    body = {"model": "stub", "messages": [{"role": "user", "content": "x"}], "system": [block(LINE), TEXT]}
    answer = house.ask("/v1/messages/count_tokens", body)
    assert answer.headers[CHANGED] == SAID
    assert answer.json() == house.ask("/v1/messages/count_tokens", {**body, "system": [TEXT]}).json()


def test_the_operator_can_keep_it(stub: StubProcess, keys: Keyed) -> None:
    with opened(stub, keys, KEEP_ATTRIBUTION="true") as keeping:
        answer = keeping.ask("/v1/messages", {**BODIES["/v1/messages"], "system": [block(LINE), TEXT]})
        assert CHANGED not in answer.headers
        (request,) = keeping.reached()
        assert request.json()["system"] == [block(LINE), TEXT]
