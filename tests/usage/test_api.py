"""`GET /api/v1/usage`: a key's own usage, and everybody's for a key with the scope `keys`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apikeys.principal import Principal
from benchmarks.stub_client import StubProcess
from gateway.rest import Refusal
from tests.harness import GatewayServer
from tests.usage.filled import DAY, issue, store
from usage.asking import PARAMETERS, asked, cursor, values
from usage.reports import COLUMNS

MARCH = {"since": "2026-03-01", "until": "2026-03-31"}


class House(NamedTuple):
    """A gateway with two keys, one of which may see the other's usage."""

    server: GatewayServer
    ana: tuple[str, str]
    operator: tuple[str, str]

    def get(self, who: tuple[str, str], **query: Any) -> httpx.Response:
        return httpx.get(f"{self.server.url}/api/v1/usage", params=query, headers={"X-API-Key": who[1]}, timeout=10)

    def report(self, who: tuple[str, str], **query: Any) -> dict[str, Any]:
        answer = self.get(who, **query)
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        return said


@pytest.fixture(scope="module")
def house(stub: StubProcess) -> Iterator[House]:
    with GatewayServer(ollama_url=stub.url) as server:
        ana, operator = issue(server, "=Ana's laptop"), issue(server, "operator", "inference,keys")
        store(
            server,
            {"key": ana[0], "prompt_tokens": 1, "completion_tokens": 2, "eval_duration": 2_500_000_000},
            {"key": ana[0], "model": "llama3", "ended": "left", "estimated": True},
            {"key": ana[0], "at": DAY - 86_400, "ended": "failed", "status": 502},
            {"key": ana[0], "at": DAY - 86_400 * 60},
            {"key": operator[0], "team": "lab", "ended": "cut"},
            {"key": operator[0], "team": "lab", "owner": 1, "route": "POST /v1/chat/completions"},
        )
        yield House(server, ana, operator)


def test_a_key_sees_its_own_usage_by_day_and_model(house: House) -> None:
    said = house.report(house.ana, **MARCH)
    assert [(line["day"], line["model"], line["requests"]) for line in said["usage"]] == [
        ("2026-03-14", "mistral", 1),
        ("2026-03-15", "llama3", 1),
        ("2026-03-15", "mistral", 1),
    ]
    first = said["usage"][2]
    assert (first["prompt_tokens"], first["completion_tokens"], first["tokens"], first["gpu_seconds"]) == (1, 2, 3, 2.5)
    total = said["total"]
    assert (total["requests"], total["left"], total["failed"], total["errors"]) == (3, 1, 1, 1)
    assert (total["tokens"], total["estimated_tokens"]) == (63, 30)
    assert (said["since"], said["until"], said["by"], said["next"]) == (*MARCH.values(), ["day", "model"], None)


def test_without_days_it_is_the_last_thirty(house: House) -> None:
    said = house.report(house.ana)
    assert said["since"] < said["until"]
    assert said["usage"] == []
    assert said["total"]["requests"] == 0


def test_a_key_with_the_scope_sees_all_keys_and_one(house: House) -> None:
    said = house.report(house.operator, key="all", by="key", **MARCH)
    found = {line["key"]: (line["label"], line["requests"]) for line in said["usage"]}
    assert found == {house.ana[0]: ("=Ana's laptop", 3), house.operator[0]: ("operator", 2)}
    assert said["total"]["requests"] == 5
    said = house.report(house.operator, key=house.ana[0], by="model", **MARCH)
    assert {line["model"]: line["requests"] for line in said["usage"]} == {"mistral": 2, "llama3": 1}
    assert house.report(house.operator, **MARCH)["total"]["requests"] == 2, "its own unless it asks for more"


@pytest.mark.parametrize(
    ("by", "wanted"),
    [
        ("owner", {(0,): 4, (1,): 1}),
        ("team", {("",): 3, ("lab",): 2}),
        ("route", {("POST /api/chat",): 4, ("POST /v1/chat/completions",): 1}),
        ("model,day", {("llama3", "2026-03-15"): 1, ("mistral", "2026-03-14"): 1, ("mistral", "2026-03-15"): 3}),
    ],
)
def test_usage_is_told_apart_as_asked(house: House, by: str, wanted: dict[tuple[Any, ...], int]) -> None:
    said = house.report(house.operator, key="all", by=by, **MARCH)
    assert {tuple(line[name] for name in by.split(",")): line["requests"] for line in said["usage"]} == wanted


def test_lines_can_be_chosen(house: House) -> None:
    assert house.report(house.operator, key="all", team="lab", **MARCH)["total"]["requests"] == 2
    assert house.report(house.operator, key="all", owner=1, **MARCH)["total"]["requests"] == 1
    assert house.report(house.ana, model="llama3", **MARCH)["total"]["requests"] == 1
    assert house.report(house.ana, route="GET /x", **MARCH)["usage"] == []


def test_pages_together_are_the_whole(house: House) -> None:
    query = {"key": "all", "by": "day,key,model,route", **MARCH}
    whole = house.report(house.operator, **query)["usage"]
    answer = house.get(house.operator, page_size=1, **query)
    pages = [answer.json()]
    while path := pages[-1]["next"]:
        assert answer.headers["Link"] == f'<{path}>; rel="next"'
        answer = httpx.get(f"{house.server.url}{path}", headers={"X-API-Key": house.operator[1]})
        pages.append(answer.json())
    assert [line for page in pages for line in page["usage"]] == whole
    assert all(len(page["usage"]) == 1 for page in pages)


def test_csv_has_the_same_lines_and_no_formula(house: House) -> None:
    answer = house.get(house.operator, key="all", by="key", format="csv", **MARCH)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = {row["key"]: row for row in csv.DictReader(io.StringIO(answer.text))}
    assert rows[house.ana[0]]["label"] == "'=Ana's laptop"
    assert rows[house.ana[0]]["requests"] == "3"
    empty = house.get(house.ana, format="csv", since="2020-01-01", until="2020-01-02")
    assert empty.text.startswith("day,model,requests,")
    assert len(empty.text.splitlines()) == 1


@pytest.mark.parametrize("query", [{"key": "all"}, {"key": "0123456789ab"}, {"owner": "1"}, {"team": "lab"}])
def test_others_usage_needs_the_scope(house: House, query: dict[str, str]) -> None:
    answer = house.get(house.ana, **query)
    assert answer.status_code == 403
    assert "`keys`" in answer.json()["message"]


def test_without_a_key_there_is_nothing_to_see(house: House) -> None:
    answer = httpx.get(f"{house.server.url}/api/v1/usage")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ({"since": "yesterday"}, "2026-11-23"),
        ({"since": "2026-03-02", "until": "2026-03-01"}, "swap"),
        ({"by": "hour"}, "route"),
        ({"by": ","}, "list one"),
        ({"format": "xml"}, "csv"),
        ({"page_size": "0"}, "whole number"),
        ({"page_size": "1e3"}, "whole number"),
        ({"after": "x"}, "'next'|one of ours"),
        ({"untill": "2026-03-01"}, "until"),
        ({"model": "a\0b"}, "NUL"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused_with_advice(house: House, query: dict[str, str], word: str) -> None:
    answer = house.get(house.ana, **query)
    assert answer.status_code == 400
    assert any(part in answer.json()["message"] for part in word.split("|"))


def test_other_methods_are_refused(house: House) -> None:
    url, headers = f"{house.server.url}/api/v1/usage", {"X-API-Key": house.ana[1]}
    assert httpx.post(url, headers=headers).status_code == 405
    assert httpx.options(url, headers=headers).headers["Allow"] == "GET, HEAD, OPTIONS"
    assert httpx.head(url, headers=headers).status_code == 200


def test_the_schema_describes_it(house: House) -> None:
    operation = httpx.get(f"{house.server.url}/api/schema").json()["paths"]["/api/v1/usage"]["get"]
    assert {parameter["name"] for parameter in operation["parameters"]} == set(PARAMETERS)
    assert set(operation["responses"]["200"]["content"]) == {"application/json", "text/csv"}
    fields = operation["responses"]["200"]["content"]["application/json"]["schema"]["properties"]
    said = house.report(house.operator, key="all", by="day,key,owner,team,model,route", **MARCH)
    assert set(said) == set(fields)
    assert set(said["usage"][0]) == set(fields["usage"]["items"]["properties"])


@given(st.dictionaries(st.sampled_from(PARAMETERS), st.text() | st.sampled_from(["2026-03-01", "all", "day", "W10"])))
def test_any_query_is_understood_or_refused(query: dict[str, str]) -> None:
    try:
        asked(query, Principal("0123456789ab", "Ana", scopes=frozenset({"keys"})))
    except Refusal as refusal:
        if refusal.status_code != 400:
            raise


@given(st.lists(st.sampled_from(["key", "owner", "team", "model", "route"]), unique=True, min_size=1), st.data())
def test_a_cursor_names_the_line_it_was_made_of(by: list[str], data: st.DataObject) -> None:
    text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
    about = [data.draw(st.integers(0, 2**60) if name == "owner" else text) for name in by]
    assert values(cursor(about), by) == about
    assert set(by) <= set(COLUMNS)


ENDS_OF_THE_CALENDAR = ["0001-01-01", "0001-01-29", "1969-12-31", "2200-01-01", "9999-12-01", "9999-12-31"]


@pytest.mark.parametrize("day", ENDS_OF_THE_CALENDAR)
@pytest.mark.parametrize("name", ["since", "until"])
def test_a_day_at_the_ends_of_the_calendar_is_refused(house: House, name: str, day: str) -> None:
    for query in ({}, {"key": "all", "by": "key"}, {"key": "all", "team": "x"}):
        answer = house.get(house.operator, **query, **{name: day})
        assert answer.status_code == 400
        assert "out of range" in answer.json()["message"]


@pytest.mark.parametrize("day", ["1970-01-01", "2199-12-31"])
def test_the_first_and_the_last_day_are_answered(house: House, day: str) -> None:
    for query in ({}, {"key": "all", "by": "key"}, {"key": "all", "team": "x"}):
        house.report(house.operator, **query, since=day, until=day)
    house.report(house.operator, key="all", by="key", since="1970-01-01", until="2199-12-31")


def test_a_cursor_of_such_a_day_is_refused(house: House) -> None:
    answer = house.get(house.operator, key="all", by="day", after=cursor(["9999-12-31"]))
    assert answer.status_code == 400
