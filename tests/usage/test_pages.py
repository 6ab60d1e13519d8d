"""The admin's pages about usage: the front page, a key's, a model's, and single calls."""

from __future__ import annotations

import csv
import re
from datetime import UTC, date, datetime, time, timedelta
from html import unescape
from typing import Any

import orjson
import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from apikeys.models import Allowance, Key
from tests.usage.journals import ended
from usage.applying import store
from usage.lines import read
from usage.models import UsageDay, UsageHour, UsageMonth, UsageRecord
from usage.pages import page
from usage.periods import MOST_SLOTS, PERIODS
from usage.pictures import About

pytestmark = pytest.mark.django_db


def use(*said: dict[str, Any]) -> None:
    now = datetime.now(UTC).timestamp()
    store([read(orjson.dumps(ended(**{"at": now, **call}))) for call in said])


@pytest.fixture
def ana() -> Key:
    return Key.objects.issue(label="Ana <b>bold</b>")[0]


def text(client: Client, path: str = "/admin/") -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_front_page_of_an_empty_house_says_so(admin_client: Client) -> None:
    said = text(admin_client)
    assert "Nothing was used in this period." in said
    assert "<svg viewBox" not in said


@pytest.mark.parametrize("period", PERIODS)
def test_the_front_page_shows_who_used_what(admin_client: Client, ana: Key, period: str) -> None:
    use({"key": ana.key_id}, {"key": ana.key_id, "model": "llama3", "ended": "failed", "first_byte": None})
    said = text(admin_client, f"/admin/?period={period}")
    assert "Ana &lt;b&gt;bold" in said
    assert "<b>bold" not in said
    for word in ("mistral", "llama3", "Requests", "Time to first byte", "1 of 2"):
        assert word in said
    assert said.count("<svg viewBox") >= 4


def test_the_front_page_shows_the_share_of_prompts_that_came_from_the_cache(admin_client: Client, ana: Key) -> None:
    use({"key": ana.key_id, "cached_tokens": None})
    assert "cached" not in text(admin_client)
    use({"key": ana.key_id, "call": "b" * 24, "prompt_tokens": 3000, "cached_tokens": 2700})
    said = text(admin_client)
    assert "3k read (90 % cached), 40 written" in said
    assert "cached: 2.7k" in said
    assert "read: 310" in said


def test_a_period_that_does_not_exist_is_a_week(admin_client: Client) -> None:
    assert 'aria-current="true">7 days' in text(admin_client, "/admin/?period=fortnight")


def test_a_keys_page_has_its_usage_alone(admin_client: Client, ana: Key) -> None:
    use({"key": ana.key_id, "model": "mine"}, {"key": "another", "model": "theirs"})
    said = text(admin_client, f"/admin/usage/usageday/?key={ana.key_id}")
    assert "mine" in said
    assert "theirs" not in said


def test_a_models_page_has_its_keys(admin_client: Client, ana: Key) -> None:
    use({"key": ana.key_id, "model": "mine"}, {"key": "another", "model": "theirs"})
    said = text(admin_client, "/admin/usage/usageday/?model=mine")
    assert "Ana &lt;b&gt;bold" in said
    assert "another" not in said
    link = f"/admin/usage/usageday/?key={ana.key_id}&model=mine&period=week"
    assert link in unescape(said)
    assert "theirs" not in text(admin_client, link)


def test_the_sums_of_a_page_are_those_of_its_calls(ana: Key) -> None:
    now = datetime(2026, 3, 18, 15, 30, tzinfo=UTC)
    for days in range(400):
        use({"key": ana.key_id, "at": (now - timedelta(days=days)).timestamp()})
    wanted = {"day": 1, "week": 7, "month": 30, "year": (now - datetime(2025, 4, 1, tzinfo=UTC)).days + 1}
    for period, count in wanted.items():
        for about in (About(), About(key=ana.key_id), About(model="mistral"), About(key=ana.key_id, model="mistral")):
            found = page(about, period, now)
            assert found["tiles"][0].value == str(count), (period, about)
            lists = {top.title: [row.requests for row in top.rows] for top in found["tops"]}
            assert all(rows == [str(count)] for rows in lists.values()), (period, about)


@pytest.fixture
def owner() -> User:
    return User.objects.create_user("ana.maria")


def test_usage_is_told_by_team_and_by_owner(admin_client: Client, ana: Key, owner: User) -> None:
    Key.objects.filter(pk=ana.pk).update(owner=owner, team="lab")
    use(
        {"key": ana.key_id, "owner": owner.pk, "team": "lab", "model": "mine"},
        {"key": "another", "team": "others", "model": "theirs"},
    )
    said = text(admin_client)
    assert '<a href="/admin/usage/usageday/?team=lab&amp;period=week">lab</a>' in said
    assert f'<a href="/admin/usage/usageday/?owner={owner.pk}&amp;period=week">ana.maria</a>' in said
    for query in ("team=lab", f"owner={owner.pk}", f"owner={owner.pk}&team=lab&model=mine"):
        for period in (*(f"period={name}" for name in PERIODS), "since=2026-01-01&until=2199-12-31"):
            found = text(admin_client, f"/admin/usage/usageday/?{query}&{period}")
            assert "mine" in found, (query, period)
            assert "theirs" not in found, (query, period)
    assert "Nothing was used" in text(admin_client, f"/admin/usage/usageday/?team=others&owner={owner.pk}")


@given(
    since=st.dates(date(2025, 1, 1), date(2026, 12, 31)),
    length=st.one_of(st.integers(0, 20), st.integers(21, 500)),
)
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_any_days_can_be_chosen(ana: Key, since: date, length: int) -> None:
    UsageRecord.objects.all().delete()
    for table in (UsageHour, UsageDay, UsageMonth):
        table.objects.all().delete()
    until = since + timedelta(days=length)
    ends = [datetime.combine(day, time(hour), UTC) for day in (since, until) for hour in (0, 23)]
    outside = [ends[0] - timedelta(seconds=1), ends[-1] + timedelta(hours=1)]
    use(*({"key": ana.key_id, "team": "lab", "at": at.timestamp()} for at in (*ends, *outside)))
    for about in (About(), About(key=ana.key_id), About(team="lab"), About(model="mistral")):
        found = page(about, "", days=(since.isoformat(), until.isoformat()))
        assert found["tiles"][0].value == "4", about
        assert {row.requests for top in found["tops"] for row in top.rows} == {"4"}, about
        assert len(found["period"].starts) <= MOST_SLOTS


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("since=2026-02-30", "is not a day"),
        ("since=0001-01-01&until=9999-12-31", "is out of range"),
        ("since=2026-03-02&until=2026-03-01", "swap the days"),
        ("since=x&until=%ED%A0%80", "is not a day"),
        ("owner=" + "9" * 40, ""),
        ("owner=-1&team=x&key=x", ""),
        ("until=1970-01-01", ""),
        ("since=2199-12-31", ""),
    ],
)
def test_days_that_can_not_be_are_said(admin_client: Client, query: str, complaint: str) -> None:
    for form in ("", "&format=csv"):
        answer = admin_client.get(f"/admin/usage/usageday/?{query}{form}")
        assert answer.status_code == (400 if complaint and form else 200), (query, form)
        assert complaint in unescape(answer.content.decode())


def test_what_is_shown_can_be_downloaded(admin_client: Client, ana: Key, owner: User) -> None:
    at = datetime(2026, 3, 15, 12, tzinfo=UTC).timestamp()
    Key.objects.filter(pk=ana.pk).update(label="=SUM(A1)")
    use(
        {"key": ana.key_id, "at": at, "owner": owner.pk, "team": "+lab", "model": "@mine"},
        {"key": "another", "at": at, "team": "others"},
        {"key": ana.key_id, "at": at - 40 * 86_400, "owner": owner.pk, "team": "+lab"},
    )
    said = unescape(text(admin_client, "/admin/usage/usageday/?team=%2Blab&since=2026-03-01&until=2026-03-31"))
    (link,) = re.findall(r'href="([^"]+format=csv)"', said)
    answer = admin_client.get(link)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"] == 'attachment; filename="usage-2026-03-01-2026-03-31.csv"'
    (row,) = csv.DictReader(answer.content.decode().splitlines())
    assert (row["day"], row["key"], row["owner_name"]) == ("2026-03-15", ana.key_id, "ana.maria")
    assert (row["label"], row["team"], row["model"]) == ("'=SUM(A1)", "'+lab", "'@mine")
    assert row["tokens"] == "30"


def test_staff_without_the_permission_download_nothing(client: Client) -> None:
    client.force_login(User.objects.create_user("ben", is_staff=True))
    assert client.get("/admin/usage/usageday/?format=csv").status_code == 403


def test_budgets_near_their_end_stand_on_the_front_page(admin_client: Client, ana: Key) -> None:
    Allowance.put("key", ana.key_id, {"tokens_per_day": 100})
    use({"key": ana.key_id, "prompt_tokens": 40, "completion_tokens": 0})
    assert "Budgets" not in text(admin_client)
    use({"key": ana.key_id, "prompt_tokens": 45, "completion_tokens": 0})
    said = text(admin_client)
    assert "Budgets near their end" in said
    assert 'aria-label="85 %"' in said
    assert "usage-budget usage-near" in said
    use({"key": ana.key_id, "prompt_tokens": 45, "completion_tokens": 0})
    assert "usage-budget usage-spent" in text(admin_client)


def test_single_calls_can_be_looked_at_and_found(admin_client: Client, ana: Key) -> None:
    use({"key": ana.key_id, "request_id": "abc", "cached_tokens": 4}, {"key": "another", "estimated": True})
    said = text(admin_client, "/admin/usage/usagerecord/")
    assert ana.key_id in said
    assert "~10 + ~20" in said
    assert "10 (4 cached) + 20" in said
    found = text(admin_client, "/admin/usage/usagerecord/?q=abc")
    assert ana.key_id in found
    assert "another" not in found
    assert "/admin/usage/usagerecord/add/" not in said


def test_staff_without_the_permission_see_no_usage(client: Client, ana: Key) -> None:
    use({"key": ana.key_id})
    user = User.objects.create_user("ben", is_staff=True)
    client.force_login(user)
    assert "Requests" not in text(client)
    assert client.get("/admin/usage/usageday/").status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_usageday"))
    assert "Requests" in text(client)
    assert client.get("/admin/usage/usageday/").status_code == 200


def test_the_pages_read_no_record(admin_client: Client, ana: Key, django_assert_max_num_queries: Any) -> None:
    use({"key": ana.key_id})
    with django_assert_max_num_queries(30) as queries:
        text(admin_client)
    assert not any("usage_usagerecord" in query["sql"] for query in queries.captured_queries)
