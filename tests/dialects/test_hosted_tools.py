"""Tools that Ollama runs by asking its cloud: an agent that declares them is served without them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.stub_client import StubProcess
from proxy.exceptions import CloudRefused
from proxy.hosted_tools import remove_hosted_tools
from tests.dialects.front import BODIES, House, Keyed, error_of, opened

CHANGED = "x-gateway-changed"
# Codex CLI declares all kinds of tools; Claude Code a search of its own.
FUNCTION = {"type": "function", "name": "shell", "strict": False, "parameters": {"type": "object", "properties": {}}}
CUSTOM = {"type": "custom", "name": "apply_patch", "description": "d"}
SEARCH = {"type": "web_search", "external_web_access": True}
NAMESPACE = {"type": "namespace", "name": "mcp", "tools": [FUNCTION]}
CLAUDE_SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}
CLAUDE_FETCH = {"type": "web_fetch_20250910", "name": "web_fetch"}
CLAUDE_TOOL = {"name": "Bash", "input_schema": {"type": "object", "properties": {}}}


def removed(tools: Any, choice: Any = None, *, is_estimate: bool = False) -> tuple[dict[str, Any], list[str]]:
    payload = {"tools": tools} | ({} if choice is None else {"tool_choice": choice})
    return payload, remove_hosted_tools(payload, is_estimate=is_estimate)


@pytest.mark.parametrize(
    ("tools", "kept", "said"),
    [
        ([FUNCTION, SEARCH], [FUNCTION], ["tool web_search dropped"]),
        ([SEARCH, CUSTOM, NAMESPACE], [CUSTOM, NAMESPACE], ["tool web_search dropped"]),
        ([{**NAMESPACE, "tools": [SEARCH, FUNCTION]}], [NAMESPACE], ["tool web_search dropped"]),
        ([FUNCTION, {**NAMESPACE, "tools": [SEARCH]}], [FUNCTION], ["tool web_search dropped"]),
        (
            [CLAUDE_TOOL, CLAUDE_SEARCH, CLAUDE_FETCH],
            [CLAUDE_TOOL],
            ["tool web_search_20250305 dropped", "tool web_fetch_20250910 dropped"],
        ),
        ([SEARCH], None, ["tool web_search dropped"]),
        ([{**NAMESPACE, "tools": [SEARCH]}], None, ["tool web_search dropped"]),
        ([{**NAMESPACE, "tools": []}, FUNCTION], [{**NAMESPACE, "tools": []}, FUNCTION], []),
        ([], [], []),
        ("web_search", "web_search", []),
        ([{"type": "web_search\r\nX-Evil: 1"}], None, ["tool web_search__X_Evil__1 dropped"]),
    ],
)
def test_a_declaration_is_removed_and_named(tools: Any, kept: Any, said: list[str]) -> None:
    payload, changed = removed(tools)
    assert (payload.get("tools"), changed) == (kept, said)


FREE = [
    "auto",
    "none",
    "required",
    {"type": "auto"},
    {"type": "any"},
    {"type": "function", "name": "shell"},
    {"type": "tool", "name": "shell"},
    {"type": "function", "function": {"name": "shell"}},
    {"type": "allowed_tools", "mode": "auto", "tools": [SEARCH]},
    {"type": "allowed_tools", "mode": "required", "tools": [SEARCH, {"type": "function", "name": "shell"}]},
    {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [SEARCH, FUNCTION]}},
    {"type": 5},
    7,
]
FORCED = [
    "web_search",
    {"type": "web_search"},
    {"type": "web_search_preview"},
    {"type": "WEB_SEARCH"},
    {"type": "tool", "name": "web_search"},
    {"type": "function", "name": "web_search"},
    {"type": "function", "function": {"name": "web_search"}},
    {"type": "allowed_tools", "mode": "required", "tools": [SEARCH]},
    {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [SEARCH]}},
]


@pytest.mark.parametrize("choice", FREE)
def test_a_choice_that_leaves_another_tool_is_served(choice: Any) -> None:
    payload, changed = removed([FUNCTION, CLAUDE_SEARCH, SEARCH], choice)
    assert changed == ["tool web_search_20250305 dropped", "tool web_search dropped"]
    assert payload["tools"] == [FUNCTION]
    assert "'web_search'" not in str(payload["tool_choice"])


@pytest.mark.parametrize("choice", FORCED)
def test_a_choice_that_demands_it_is_refused_but_by_an_estimate(choice: Any) -> None:
    tools = [FUNCTION, CLAUDE_SEARCH]
    with pytest.raises(CloudRefused, match=r"tool_choice.*ALLOW_CLOUD"):
        removed(list(tools), choice)
    assert removed(list(tools), choice, is_estimate=True)[0]["tools"] == [FUNCTION]


@pytest.mark.parametrize("choice", ["required", {"type": "any"}])
def test_a_choice_of_any_tool_is_refused_where_none_is_left(choice: Any) -> None:
    with pytest.raises(CloudRefused):
        removed([SEARCH], choice)
    # Without any tool such a choice is for Ollama to read.
    assert removed([], choice) == ({"tools": [], "tool_choice": choice}, [])


def test_a_choice_among_no_tools_is_removed_with_them() -> None:
    assert removed([SEARCH], "auto") == ({}, ["tool web_search dropped"])


def test_a_function_of_the_same_name_is_the_clients_own() -> None:
    mine = {"type": "function", "name": "web_search", "parameters": {}}
    choice = {"type": "function", "name": "web_search"}
    assert removed([mine], choice) == ({"tools": [mine], "tool_choice": choice}, [])
    assert removed([mine, SEARCH], choice)[0]["tools"] == [mine]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["web_search", "tool", "x", "required", "function"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "tools", "name", "mode", "function", "allowed_tools"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(JSON_VALUES, JSON_VALUES)
def test_whatever_comes_no_such_declaration_is_left(tools: Any, choice: Any) -> None:
    try:
        payload, _ = removed(tools, choice)
    except CloudRefused:
        return

    def declared(value: Any) -> bool:
        return isinstance(value, list) and any(
            isinstance(tool, dict) and (str(tool.get("type")).startswith("web_search") or declared(tool.get("tools")))
            for tool in value
        )

    assert not declared(payload.get("tools"))


# Through the front door

CODEX = {"tools": [FUNCTION, CUSTOM, SEARCH], "tool_choice": "auto", "parallel_tool_calls": False}
CLAUDE = {"tools": [CLAUDE_TOOL, CLAUDE_SEARCH], "tool_choice": {"type": "auto"}}
AGENTS = [
    ("/v1/responses", {**CODEX, "model": "stub-think"}, "tool web_search dropped"),
    ("/v1/messages", {**CLAUDE, "model": "stub-think"}, "tool web_search_20250305 dropped"),
    ("/v1/messages", {"tools": [CLAUDE_SEARCH]}, "tool web_search_20250305 dropped"),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("path", "fields", "said"), AGENTS)
def test_an_agent_is_served_without_its_search(
    house: House, path: str, fields: dict[str, Any], said: str, stream: bool
) -> None:
    answer = house.ask(path, {**BODIES[path], **fields, "stream": stream})
    assert answer.status == 200
    assert answer.headers[CHANGED] == said
    (request,) = house.reached()
    sent = request.json()
    assert sent.get("tools") == (fields["tools"][:-1] or None)


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages"])
def test_an_agent_that_demands_its_search_is_told(house: House, path: str) -> None:
    tools, choice = [SEARCH], {"type": "web_search"}
    if path == "/v1/messages":
        tools, choice = [CLAUDE_SEARCH], {"type": "tool", "name": "web_search"}
    answer = house.ask(path, {**BODIES[path], "tools": tools, "tool_choice": choice})
    assert answer.status == 403
    assert "tool_choice" in error_of(path, answer)[1]
    assert house.reached() == []


def test_tokens_are_counted_whatever_tools_are_declared_and_demanded(house: House) -> None:
    body = {"model": "stub", "messages": [{"role": "user", "content": "x" * 400}]}
    plain = house.ask("/v1/messages/count_tokens", body)
    for choice in ({"type": "auto"}, {"type": "tool", "name": "web_search"}, {"type": "any"}):
        answer = house.ask("/v1/messages/count_tokens", {**body, "tools": [CLAUDE_SEARCH], "tool_choice": choice})
        assert answer.json() == plain.json()
        assert answer.headers[CHANGED] == "tool web_search_20250305 dropped"


def test_with_the_cloud_allowed_all_passes_as_it_is(stub: StubProcess, keys: Keyed) -> None:
    with opened(stub, keys, ALLOW_CLOUD="true") as cloudy:
        for path, fields, _said in AGENTS:
            stub.reset()
            answer = cloudy.ask(path, {**BODIES[path], **fields})
            assert CHANGED not in answer.headers
            (request,) = cloudy.reached()
            assert request.json()["tools"] == fields["tools"]
