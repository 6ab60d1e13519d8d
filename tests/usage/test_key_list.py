"""Usage at a glance in the admin's list of keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apikeys.models import Key
from tests.usage.journals import ended
from usage.applying import store
from usage.keylist import bars, glances
from usage.lines import read

pytestmark = pytest.mark.django_db
LIST = "/admin/apikeys/key/"


def use(key: Key, days_ago: int, **call: Any) -> None:
    at = (datetime.now(UTC) - timedelta(days=days_ago)).timestamp()
    store([read(orjson.dumps(ended(**{"key": key.key_id, "at": at, **call})))])


def test_the_list_shows_seven_days_of_each_key(admin_client: Client) -> None:
    ana, _ = Key.objects.issue(label="Ana")
    Key.objects.issue(label="Ben")
    for days_ago in (0, 3, 3, 6, 7):
        use(ana, days_ago, model=f"model-{days_ago}", prompt_tokens=500, completion_tokens=500)
    glance = glances([ana.key_id], datetime.now(UTC).date())[ana.key_id]
    assert (glance.requests, glance.tokens) == (4, [1000, 0, 0, 2000, 0, 0, 1000])
    said = admin_client.get(LIST).content.decode()
    assert "4 requests, 4,000 tokens in 7 days" in said
    assert f'href="/admin/usage/usageday/?key={ana.key_id}"' in said
    assert said.count('class="key-week"') == 1


def test_a_keys_page_leads_to_its_usage_even_once_it_is_revoked(admin_client: Client) -> None:
    key, _ = Key.objects.issue(label="Ana")
    link = f'href="/admin/usage/usageday/?key={key.key_id}"'
    assert link in admin_client.get(f"{LIST}{key.pk}/change/").content.decode()
    key.revoke()
    assert link in admin_client.get(f"{LIST}{key.pk}/change/").content.decode()
    assert "What can be done" not in admin_client.get(f"{LIST}add/").content.decode()


def test_it_is_one_query_whatever_the_number_of_keys(admin_client: Client) -> None:
    for number in range(30):
        use(Key.objects.issue(label=str(number))[0], 0)
    with CaptureQueriesContext(connection) as queries:
        said = admin_client.get(LIST).content.decode()
    assert said.count('class="key-week"') == 25
    read_usage = [query["sql"] for query in queries.captured_queries if "usage_" in query["sql"]]
    assert len(read_usage) == 1
    assert "usage_usageday" in read_usage[0]


def test_staff_who_may_not_see_usage_see_keys_without_it(client: Client) -> None:
    use(Key.objects.issue(label="Ana")[0], 0)
    ben = User.objects.create_user("ben", is_staff=True)
    ben.user_permissions.add(Permission.objects.get(codename="view_key"))
    client.force_login(ben)
    said = client.get(LIST).content.decode()
    assert "Ana" in said
    assert "key-week" not in said


def test_the_smallest_day_has_a_bar_that_can_be_seen_and_a_day_without_has_none() -> None:
    assert "<rect" not in bars([0] * 7)
    assert 'height="2"' in bars([1, 0, 0, 0, 0, 0, 1_000_000])
