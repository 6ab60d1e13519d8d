"""`manage.py usage`: what was used, in the terminal."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from apikeys.models import Key
from tests.usage.journals import ended
from usage.applying import store
from usage.lines import read

pytestmark = pytest.mark.django_db

DAY = datetime(2026, 3, 15, 12, tzinfo=UTC).timestamp()
MARCH = ("--since", "2026-03-01", "--until", "2026-03-31")


def said(*arguments: str) -> str:
    out = io.StringIO()
    call_command("usage", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def keys() -> list[Key]:
    owner = User.objects.create_user("ana")
    one, other = Key.objects.issue(label="Ana's laptop")[0], Key.objects.issue(label="+batch")[0]
    calls: list[dict[str, Any]] = [
        {"key": one.key_id, "owner": owner.pk, "prompt_tokens": 1000, "completion_tokens": 2000},
        {"key": one.key_id, "owner": owner.pk, "model": "llama3", "ended": "failed"},
        {"key": other.key_id, "team": "lab", "at": DAY - 86_400},
    ]
    store([read(orjson.dumps(ended(**{"at": DAY, **call}))) for call in calls])
    return [one, other]


def test_the_table_has_the_greatest_first_and_a_total(keys: list[Key]) -> None:
    lines = said(*MARCH).splitlines()
    head = "KEY LABEL REQUESTS ERRORS PROMPT TOKENS COMPLETION TOKENS TOKENS GPU SECONDS"
    assert " ".join(lines[0].split()) == head
    assert keys[0].key_id in lines[1]
    assert "3,030" in lines[1]
    assert lines[2].split() == [keys[1].key_id, "+batch", "1", "0", "10", "20", "30", "0.0"]
    assert lines[3].split() == ["total", "3", "1", "1,020", "2,040", "3,060", "0.0"]


@pytest.mark.parametrize(
    ("by", "wanted"),
    [
        ("day", [("2026-03-14", 1), ("2026-03-15", 2)]),
        ("model", [("llama3", 1), ("mistral", 2)]),
        ("team", [("", 2), ("lab", 1)]),
        ("route", [("POST /api/chat", 3)]),
    ],
)
def test_usage_is_told_apart_as_asked(keys: list[Key], by: str, wanted: list[tuple[str, int]]) -> None:
    rows = json.loads(said(*MARCH, "--by", by, "--json"))
    assert [(row[by], row["requests"]) for row in rows] == wanted


def test_owners_have_names(keys: list[Key]) -> None:
    rows = json.loads(said(*MARCH, "--by", "owner", "--json"))
    assert [(row["owner_name"], row["requests"]) for row in rows] == [("", 1), ("ana", 2)]


def test_one_key_can_be_chosen(keys: list[Key]) -> None:
    rows = json.loads(said(*MARCH, "--by", "day,model", "--key", keys[0].key_id, "--json"))
    assert [(row["day"], row["model"]) for row in rows] == [("2026-03-15", "llama3"), ("2026-03-15", "mistral")]


def test_csv_is_for_spreadsheets(keys: list[Key]) -> None:
    rows = {row["key"]: row for row in csv.DictReader(io.StringIO(said(*MARCH, "--csv")))}
    assert rows[keys[0].key_id]["failed"] == "1"
    assert rows[keys[1].key_id]["label"].startswith("'+")


def test_a_name_with_control_characters_moves_no_terminal() -> None:
    store([read(orjson.dumps(ended(at=DAY, model="\x1b[31mred")))])
    assert "'\\x1b[31mred'" in said(*MARCH, "--by", "model")


def test_nothing_used_is_said(keys: list[Key]) -> None:
    assert said("--since", "2020-01-01", "--until", "2020-01-02") == "Nothing was used from 2020-01-01 to 2020-01-02.\n"
    assert json.loads(said("--since", "2020-01-01", "--until", "2020-01-02", "--json")) == []


@pytest.mark.parametrize(
    "wrong", [("--since", "May"), ("--by", "hour"), ("--since", "2026-02-01", "--until", "2026-01-01")]
)
def test_what_makes_no_sense_is_refused(wrong: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match=r"2026-11-23|list one or more|swap them"):
        said(*wrong)


@pytest.mark.parametrize("day", ["0001-01-05", "9999-12-31", "2026-02-30"])
@pytest.mark.parametrize("option", ["--since", "--until"])
def test_a_day_that_cannot_be_reported_is_one_line(option: str, day: str) -> None:
    with pytest.raises(CommandError, match=r"out of range|not a day"):
        said(option, day)
