"""The limits of owners and teams in the admin and through the API; the command has tests of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from apikeys.models import Allowance, AuditEntry
from apikeys.whose import whose
from tests.harness import GatewayServer, wait_until
from tests.usage.journals import ended
from usage.applying import store
from usage.lines import read

LIST = "/admin/apikeys/allowance/"
ADD = f"{LIST}add/"


def page(text: str) -> str:
    return f"{LIST}{text.replace(':', '_3A')}/change/"


def last_entry() -> dict[str, Any]:
    entry = AuditEntry.objects.first()
    return {"actor": entry.actor, "action": entry.action, **json.loads(entry.changes)}


# The admin


@pytest.mark.django_db
def test_limits_are_set_changed_and_taken_away_and_the_trail_has_each(admin_client: Client) -> None:
    assert "No owner and no team has limits." in admin_client.get(LIST).content.decode()
    answer = admin_client.post(ADD, {"whose": "team:research", "tokens_per_day": "1000"}, follow=True)
    assert "1,000 tokens a day" in answer.content.decode()
    assert last_entry() == {
        "actor": "user admin",
        "action": "limited",
        "whose": [None, "team:research"],
        "limits": [{}, {"tokens_per_day": 1000}],
    }
    admin_client.post(page("team:research"), {"tokens_per_day": "2000", "output_tokens": "50"})
    assert Allowance.of("team", "research") == {"tokens_per_day": 2000, "output_tokens": 50}
    count = AuditEntry.objects.count()
    admin_client.post(page("team:research"), {"tokens_per_day": "2000", "output_tokens": "50"})
    assert AuditEntry.objects.count() == count, "what changes nothing is no entry"
    answer = admin_client.post(page("team:research"), {}, follow=True)
    assert "has no limits any more" in answer.content.decode()
    assert last_entry()["limits"] == [{"tokens_per_day": 2000, "output_tokens": 50}, {}]
    assert "team:research" in admin_client.get("/admin/apikeys/auditentry/").content.decode()


@pytest.mark.django_db
def test_the_list_shows_what_is_spent_of_budgets(admin_client: Client) -> None:
    ana = User.objects.create_user("ana")
    whose("owner:ana").limit({"tokens_per_month": 1000, "concurrency": 2})
    call = ended(at=datetime.now(UTC).timestamp(), owner=ana.pk, prompt_tokens=50, completion_tokens=250)
    store([read(orjson.dumps(call))])
    for path in (LIST, page("owner:ana")):
        said = admin_client.get(path).content.decode()
        assert "300 of 1k this month" in said
        assert 'aria-label="30 %"' in said


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"whose": "research", "concurrency": "1"}, "write owner:USER or team:NAME"),
        ({"whose": "owner:nobody", "concurrency": "1"}, "No user is called"),
        ({"whose": "team:taken", "concurrency": "1"}, "has limits already"),
        ({"whose": "team:research"}, "at least one"),
        ({"whose": "team:research", "concurrency": "0"}, "greater than or equal to 1"),
        ({"whose": "team:research", "concurrency": "9" * 30}, "less than or equal to"),
    ],
)
def test_what_makes_no_sense_is_said_and_sets_nothing(admin_client: Client, fields: dict[str, str], word: str) -> None:
    whose("team:taken").limit({"concurrency": 1})
    assert word in admin_client.post(ADD, fields).content.decode()
    assert Allowance.objects.count() == 1


@pytest.mark.django_db
def test_staff_who_may_only_look_can_only_look(client: Client) -> None:
    whose("team:research").limit({"concurrency": 3})
    ben = User.objects.create_user("ben", is_staff=True)
    client.force_login(ben)
    assert {client.get(path).status_code for path in (LIST, ADD, page("team:research"))} == {403}
    ben.user_permissions.add(Permission.objects.get(codename="view_allowance"))
    for path in (LIST, page("team:research")):
        said = client.get(path).content.decode()
        assert "3 requests at once" in said
        assert "Add limit" not in said
        assert "Set limits" not in said
    assert client.get(ADD).status_code == 403
    assert client.post(ADD, {"whose": "team:x", "concurrency": "1"}).status_code == 403
    assert client.post(page("team:research"), {}).status_code == 403
    assert Allowance.of("team", "research") == {"concurrency": 3}


@pytest.mark.django_db
def test_a_teams_name_is_shown_as_text_and_found_again(admin_client: Client) -> None:
    whose("team:a/b <i>&").limit({"concurrency": 3})
    said = admin_client.get(LIST).content.decode()
    assert "<i>" not in said
    link = next(part for part in said.split('"') if part.startswith(LIST) and "change" in part)
    assert admin_client.get(link).status_code == 200
    assert admin_client.get(page("owner:nobody")).status_code == 404


# The API


@pytest.fixture(scope="module")
def ask(gateway: GatewayServer) -> Callable[..., httpx.Response]:
    """Asks the API with a key of these options of createapikey."""
    made: dict[tuple[str, ...], str] = {}

    def send(options: tuple[str, ...], method: str, path: str, **how: Any) -> httpx.Response:
        if options not in made:
            made[options] = gateway.manage("createapikey", "asks", "--quiet", *options).stdout.strip()
        headers = {"X-API-Key": made[options]}
        return httpx.request(method, f"{gateway.url}/api/v1/limits{path}", headers=headers, timeout=10, **how)

    return send


FREE = ("--scopes", "inference,keys")


def test_limits_are_read_and_set_by_a_key_that_is_bound_to_nothing(
    gateway: GatewayServer, ask: Callable[..., httpx.Response]
) -> None:
    assert ask(FREE, "GET", "/team:of-the-api").json() == {"whose": "team:of-the-api", "limits": {}}
    set_to = ask(FREE, "PATCH", "/team:of-the-api", json={"requests_per_minute": 2, "tokens_total": 900})
    assert set_to.json()["limits"] == {"requests_per_minute": 2, "tokens_total": 900}
    assert {"whose": "team:of-the-api", "limits": set_to.json()["limits"]} in ask(FREE, "GET", "").json()["limits"]
    key = gateway.manage("createapikey", "limited", "--team", "of-the-api", "--quiet").stdout.strip()
    sent = {"url": f"{gateway.url}/api/v1/generate", "headers": {"X-API-Key": key}, "json": {"prompt": "x"}}
    wait_until(lambda: "x-ratelimit-limit-requests" in httpx.post(**sent).headers, 1.0)
    wait_until(lambda: httpx.post(**sent).status_code == 429, 1.0)
    changed = ask(FREE, "PATCH", "/team:of-the-api", json={"requests_per_minute": None})
    assert changed.json()["limits"] == {"tokens_total": 900}
    wait_until(lambda: httpx.post(**sent).status_code == 200, 1.0)


@pytest.mark.parametrize(
    "rule",
    [
        ("--team", "lab"),
        ("--owner", "admin"),
        ("--models", "mistral"),
        ("--addresses", "127.0.0.1"),
        ("--expires", "30d"),
        ("--concurrency", "9"),
    ],
    ids=lambda rule: rule[0],
)
def test_a_key_that_is_bound_itself_sets_nobodys_limits(ask: Callable[..., httpx.Response], rule: tuple[str]) -> None:
    for path in ("/team:lab", "/owner:admin", "/team:other"):
        answer = ask((*FREE, *rule), "PATCH", path, json={"concurrency": 99})
        assert answer.status_code in (403, 404)
        assert ask(FREE, "GET", path).json()["limits"] == {}


def test_a_key_of_a_team_sees_that_teams_limits_alone(ask: Callable[..., httpx.Response]) -> None:
    ask(FREE, "PATCH", "/team:seen", json={"concurrency": 5})
    ask(FREE, "PATCH", "/team:unseen", json={"concurrency": 6})
    mine = (*FREE, "--team", "seen")
    assert ask(mine, "GET", "").json() == {"limits": [{"whose": "team:seen", "limits": {"concurrency": 5}}]}
    assert ask(mine, "GET", "/team:seen").status_code == 200
    refused = [ask(mine, "GET", path) for path in ("/team:unseen", "/owner:admin", "/owner:nobody", "/x")]
    assert {answer.status_code for answer in refused} == {404}
    assert len({answer.json()["message"] for answer in refused}) == 1, "nobody learns who else there is"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/team:lab", {"concurrency": 0}, 400),
        ("/team:lab", {"concurrency": 10**17}, 400),
        ("/team:lab", {"concurency": 1}, 400),
        ("/team:lab", [], 400),
        ("/owner:nobody", {"concurrency": 1}, 404),
        ("/lab", {"concurrency": 1}, 404),
    ],
)
def test_nonsense_is_told(ask: Callable[..., httpx.Response], path: str, body: Any, status: int) -> None:
    answer = ask(FREE, "PATCH", path, json=body)
    assert answer.status_code == status
    assert answer.json()["message"]


def test_without_the_scope_there_is_nothing_to_see(ask: Callable[..., httpx.Response]) -> None:
    assert ask((), "GET", "").status_code == 403
    assert ask((), "PATCH", "/team:lab", json={"concurrency": 1}).status_code == 403
